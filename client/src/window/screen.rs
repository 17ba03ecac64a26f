//! The picture as something that GTK can draw: the newest texture, scaled to fit, black around it.

use std::cell::{Cell, RefCell};

use gtk::prelude::*;
use gtk::subclass::prelude::*;
use gtk::{gdk, glib, graphene};

use crate::playback::Picture;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Screen {
        pub(super) picture: RefCell<Option<Picture>>,
        pub(super) count: Cell<u64>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Screen {
        const NAME: &'static str = "BraidcastScreen";
        type Type = super::Screen;
        type Interfaces = (gdk::Paintable,);
    }

    impl ObjectImpl for Screen {}

    impl PaintableImpl for Screen {
        fn intrinsic_aspect_ratio(&self) -> f64 {
            self.picture.borrow().as_ref().map_or(16.0 / 9.0, |picture| picture.aspect)
        }

        fn snapshot(&self, snapshot: &gdk::Snapshot, width: f64, height: f64) {
            let Some(snapshot) = snapshot.downcast_ref::<gtk::Snapshot>() else { return };
            let bounds = graphene::Rect::new(0.0, 0.0, width as f32, height as f32);
            match &*self.picture.borrow() {
                Some(picture) => snapshot.append_texture(&picture.texture, &bounds),
                None => snapshot.append_color(&gdk::RGBA::BLACK, &bounds),
            }
        }
    }
}

glib::wrapper! {
    /// The picture.
    pub struct Screen(ObjectSubclass<imp::Screen>) @implements gdk::Paintable;
}

impl Screen {
    /// A dark screen.
    pub fn new() -> Self {
        glib::Object::new()
    }

    /// Shows a picture; `None`: nothing.
    pub fn show(&self, picture: Option<Picture>) {
        let imp = self.imp();
        let aspect = |picture: &Option<Picture>| picture.as_ref().map(|picture| picture.aspect);
        let before = aspect(&imp.picture.borrow());
        let after = aspect(&picture);
        imp.count.set(imp.count.get() + u64::from(picture.is_some()));
        imp.picture.replace(picture);
        if before == after {
            self.invalidate_contents();
        } else {
            self.invalidate_size();
            self.invalidate_contents();
        }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}
