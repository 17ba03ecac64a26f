//! A channel's logo, or its initials on a colour of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gtk::prelude::*;
use gtk::{gdk, glib};

use super::widgets::role;
use crate::television::{Channel, Television};

const COLOURS: u32 = 8;

/// Who waits for a logo: its address, and where it goes.
type Waiting = (String, glib::WeakRef<gtk::Stack>, glib::WeakRef<gtk::Picture>);

/// Logos that were fetched.
pub(super) struct Logos {
    television: Television,
    runtime: tokio::runtime::Handle,
    /// By address; `None` while one is fetched or if there is none.
    known: RefCell<HashMap<String, Option<gdk::Texture>>>,
    waiting: RefCell<Vec<Waiting>>,
}

/// The place of a logo.
pub(super) struct Tile {
    pub(super) root: gtk::Stack,
    letters: gtk::Label,
    picture: gtk::Picture,
    logos: Rc<Logos>,
    shown: RefCell<Option<(String, Option<String>)>>,
}

impl Logos {
    pub(super) fn new(television: Television, runtime: tokio::runtime::Handle) -> Rc<Self> {
        Rc::new(Self {
            television,
            runtime,
            known: RefCell::default(),
            waiting: RefCell::default(),
        })
    }

    fn fetch(self: &Rc<Self>, address: &str, channel: &str) {
        let (this, address, channel) = (self.clone(), address.to_owned(), channel.to_owned());
        glib::spawn_future_local(async move {
            let television = this.television.clone();
            let bytes = this.runtime.spawn(async move { television.logo(&channel).await }).await;
            let texture = bytes
                .ok()
                .flatten()
                .and_then(|bytes| gdk::Texture::from_bytes(&glib::Bytes::from_owned(bytes)).ok());
            this.known.borrow_mut().insert(address.clone(), texture.clone());
            let Some(texture) = texture else { return };
            this.waiting.borrow_mut().retain(|(wanted, stack, picture)| {
                if *wanted != address {
                    return stack.upgrade().is_some();
                }
                if let Some((stack, picture)) = stack.upgrade().zip(picture.upgrade()) {
                    picture.set_paintable(Some(&texture));
                    stack.set_visible_child(&picture);
                }
                false
            });
        });
    }
}

impl Tile {
    pub(super) fn new(logos: &Rc<Logos>, (width, height): (i32, i32)) -> Self {
        let letters = gtk::Label::new(None);
        letters.add_css_class("tile");
        // The channel's name is read beside it.
        role(&letters, gtk::AccessibleRole::Presentation);
        let picture = gtk::Picture::builder()
            .can_shrink(true)
            .content_fit(gtk::ContentFit::ScaleDown)
            .accessible_role(gtk::AccessibleRole::Presentation)
            .build();
        let root = gtk::Stack::new();
        root.set_size_request(width, height);
        root.set_valign(gtk::Align::Center);
        root.add_child(&letters);
        root.add_child(&picture);
        Self { root, letters, picture, logos: logos.clone(), shown: RefCell::default() }
    }

    /// Shows a channel's logo.
    pub(super) fn show(&self, channel: &Channel) {
        let wanted = (channel.name.clone(), channel.logo.clone());
        if self.shown.replace(Some(wanted.clone())).as_ref() == Some(&wanted) {
            return;
        }
        self.letters.set_text(&initials(&channel.name));
        for colour in 0..COLOURS {
            self.letters.remove_css_class(&format!("tile-{colour}"));
        }
        self.letters.add_css_class(&format!("tile-{}", colour(&channel.id)));
        self.root.set_visible_child(&self.letters);
        let Some(address) = &channel.logo else { return };
        let known = self.logos.known.borrow().get(address).cloned();
        match known {
            Some(Some(texture)) => {
                self.picture.set_paintable(Some(&texture));
                self.root.set_visible_child(&self.picture);
            }
            _ => {
                let place = (address.clone(), self.root.downgrade(), self.picture.downgrade());
                self.logos.waiting.borrow_mut().push(place);
                if known.is_none() {
                    self.logos.known.borrow_mut().insert(address.clone(), None);
                    self.logos.fetch(address, &channel.id);
                }
            }
        }
    }
}

/// At most three letters that stand for a name: of its words, or its beginning; digits at the end stay.
fn initials(name: &str) -> String {
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let letters: String = match words.as_slice() {
        [one] => one.chars().take(2).collect(),
        words => words.iter().take(3).filter_map(|word| word.chars().next()).collect(),
    };
    letters.to_uppercase()
}

/// Always the same for one channel.
fn colour(id: &str) -> u32 {
    id.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % COLOURS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_short() {
        assert_eq!(initials("Das Erste HD"), "DEH");
        assert_eq!(initials("clip"), "CL");
        assert_eq!(initials("3+"), "3");
        assert_eq!(initials("…"), "");
    }
}
