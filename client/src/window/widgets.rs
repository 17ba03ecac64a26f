//! Small pieces that every view is made of.

use gtk::prelude::*;

/// A label of a style class.
pub(super) fn label(text: &str, class: &str) -> gtk::Label {
    let label = gtk::Label::builder().label(text).xalign(0.0).build();
    if !class.is_empty() {
        label.add_css_class(class);
    }
    label
}

/// A label that breaks into lines.
pub(super) fn paragraph(text: &str, class: &str) -> gtk::Label {
    let label = label(text, class);
    label.set_wrap(true);
    label.set_wrap_mode(gtk::pango::WrapMode::WordChar);
    label.set_natural_wrap_mode(gtk::NaturalWrapMode::None);
    label
}

/// A label that is cut where there is no room.
pub(super) fn short(text: &str, class: &str) -> gtk::Label {
    let label = label(text, class);
    label.set_ellipsize(gtk::pango::EllipsizeMode::End);
    label
}

/// Tells screen readers what a widget is called, and others when they point at it.
pub(super) fn name(widget: &impl IsA<gtk::Widget>, text: &str) {
    widget.set_tooltip_text(Some(text));
    spoken(widget, text);
}

/// Tells screen readers what a widget is called. The bindings have GTK's own call for this only from GTK 4.10 on; before,
/// a widget is called what the label says whose mnemonic leads to it, also if that label is not shown.
pub(super) fn spoken(widget: &impl IsA<gtk::Widget>, text: &str) {
    let widget = widget.upcast_ref::<gtk::Widget>();
    // These hold a button of their own, which is what has the focus.
    if (widget.is::<gtk::MenuButton>() || widget.is::<gtk::DropDown>())
        && let Some(button) = widget.first_child()
    {
        spoken(&button, text);
    }
    if let Some(label) = spoken_label(widget) {
        return say(&label, text);
    }
    let label = gtk::Label::new(Some(text));
    label.set_widget_name(SPOKEN);
    label.set_mnemonic_widget(Some(widget));
    // It lives as long as the widget.
    widget.connect_destroy(move |_| {
        let _ = &label;
    });
}

const SPOKEN: &str = "spoken";

fn spoken_label(widget: &gtk::Widget) -> Option<gtk::Label> {
    widget.list_mnemonic_labels().into_iter().find_map(|label| {
        label.downcast::<gtk::Label>().ok().filter(|label| label.widget_name() == SPOKEN)
    })
}

/// Gives a button another icon. GTK calls a button by its icon then, so it is told the name again.
pub(super) fn change_icon(button: &impl IsA<gtk::Button>, icon: &str) {
    let button = button.upcast_ref::<gtk::Button>();
    if button.icon_name().as_deref() == Some(icon) {
        return;
    }
    button.set_icon_name(icon);
    if let Some(label) = spoken_label(button.upcast_ref()) {
        label.set_mnemonic_widget(gtk::Widget::NONE);
        label.set_mnemonic_widget(Some(button));
    }
}

/// What a widget is for screen readers. To be set before it is shown.
pub(super) fn role(widget: &impl IsA<gtk::Widget>, role: gtk::AccessibleRole) {
    widget.set_property("accessible-role", role);
}

/// A button with an icon that does an action of the window.
pub(super) fn icon_button(icon: &str, text: &str, action: &str) -> gtk::Button {
    let button = gtk::Button::from_icon_name(icon);
    name(&button, text);
    button.set_action_name(Some(action));
    button
}

/// A horizontal box.
pub(super) fn row(spacing: i32) -> gtk::Box {
    gtk::Box::new(gtk::Orientation::Horizontal, spacing)
}

/// A vertical box.
pub(super) fn column(spacing: i32) -> gtk::Box {
    gtk::Box::new(gtk::Orientation::Vertical, spacing)
}

/// Adds one child after another.
pub(super) fn fill(parent: &gtk::Box, children: &[&gtk::Widget]) {
    for child in children {
        parent.append(*child);
    }
}

/// Removes all children.
pub(super) fn clear(parent: &gtk::Box) {
    while let Some(child) = parent.first_child() {
        parent.remove(&child);
    }
}

/// Changes a label only if that changes something: screen readers hear of every change.
pub(super) fn say(label: &gtk::Label, text: &str) {
    if label.text() != text {
        label.set_text(text);
    }
}

/// A thin bar that shows how far something is along.
pub(super) fn progress() -> gtk::ProgressBar {
    let bar = gtk::ProgressBar::new();
    bar.add_css_class("slim");
    bar.set_valign(gtk::Align::Center);
    bar
}

/// Marks a widget as what the style sheet calls `class` as long as `on`.
pub(super) fn mark(widget: &impl IsA<gtk::Widget>, class: &str, on: bool) {
    if on {
        widget.add_css_class(class);
    } else {
        widget.remove_css_class(class);
    }
}

/// The program's emblem, which is there also where the program is not installed.
pub(super) fn emblem(size: i32) -> gtk::Image {
    const SVG: &[u8] =
        include_bytes!("../../data/icons/hicolor/scalable/apps/tv.braidcast.Braidcast.svg");
    // Without a reader for SVG the place stays empty.
    let texture = gtk::gdk::Texture::from_bytes(&gtk::glib::Bytes::from_static(SVG)).ok();
    let image = gtk::Image::builder()
        .pixel_size(size)
        .halign(gtk::Align::Start)
        .accessible_role(gtk::AccessibleRole::Presentation)
        .build();
    image.set_paintable(texture.as_ref());
    image
}
