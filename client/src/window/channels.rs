//! The list of channels: logo, number, name, what is on and how far along; search and favourites.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

use gtk::prelude::*;

use super::logos::{Logos, Tile};
use super::widgets::{
    change_icon, column, fill, label, mark, name, progress, row, say, short, spoken,
};
use super::words::{put, tr};
use crate::television::{Channel, View};

/// The list beside the picture.
pub(super) struct Channels {
    pub(super) root: gtk::Box,
    pub(super) search: gtk::SearchEntry,
    list: gtk::ListBox,
    stack: gtk::Stack,
    empty: gtk::Label,
    only_favourites: gtk::ToggleButton,
    pub(super) foot: gtk::Label,
    rows: RefCell<Vec<Rc<Row>>>,
    logos: Rc<Logos>,
    /// Set while the list follows the player, so that it does not ask for what is played already.
    following: Cell<bool>,
}

struct Row {
    row: gtk::ListBoxRow,
    channel: RefCell<Channel>,
    tile: Tile,
    number: gtk::Label,
    title: gtk::Label,
    now: gtk::Label,
    bar: gtk::ProgressBar,
    star: gtk::ToggleButton,
}

impl Channels {
    pub(super) fn new(logos: Rc<Logos>) -> Rc<Self> {
        let root = column(0);
        root.add_css_class("sidebar");
        root.set_width_request(300);
        let search = gtk::SearchEntry::builder().placeholder_text(tr("Search channels")).build();
        spoken(&search, tr("Search channels"));
        search.add_css_class("search");
        let all = gtk::ToggleButton::with_label(tr("All"));
        let favourites = gtk::ToggleButton::with_label(tr("Favourites"));
        favourites.set_group(Some(&all));
        all.set_active(true);
        let choice = row(0);
        choice.add_css_class("segmented");
        choice.set_homogeneous(true);
        fill(&choice, &[all.upcast_ref(), favourites.upcast_ref()]);
        let top = column(8);
        top.set_margin_top(10);
        top.set_margin_bottom(8);
        top.set_margin_start(12);
        top.set_margin_end(12);
        fill(&top, &[search.upcast_ref(), choice.upcast_ref()]);

        let list = gtk::ListBox::new();
        list.add_css_class("channels");
        list.set_selection_mode(gtk::SelectionMode::Single);
        spoken(&list, tr("Channels"));
        let scroll = gtk::ScrolledWindow::builder()
            .hscrollbar_policy(gtk::PolicyType::Never)
            .vexpand(true)
            .child(&list)
            .build();
        let empty = super::widgets::paragraph("", "empty");
        empty.set_justify(gtk::Justification::Center);
        empty.set_xalign(0.5);
        empty.set_valign(gtk::Align::Start);
        // It takes what room there is, and asks for none: the picture has the rest.
        empty.set_natural_wrap_mode(gtk::NaturalWrapMode::Inherit);
        empty.set_max_width_chars(1);
        let stack = gtk::Stack::new();
        stack.add_named(&scroll, Some("list"));
        stack.add_named(&empty, Some("empty"));
        let foot = super::widgets::paragraph("", "side-foot");
        foot.set_width_chars(1);
        fill(&root, &[top.upcast_ref(), stack.upcast_ref(), foot.upcast_ref()]);

        let this = Rc::new(Self {
            root,
            search,
            list,
            stack,
            empty,
            only_favourites: favourites,
            foot,
            rows: RefCell::default(),
            logos,
            following: false.into(),
        });
        this.connect();
        this
    }

    fn connect(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        self.list.set_filter_func(move |row| {
            weak.upgrade().is_none_or(|this| this.fits(usize::try_from(row.index()).unwrap_or(0)))
        });
        let weak = Rc::downgrade(self);
        let narrow = move || {
            if let Some(this) = weak.upgrade() {
                this.list.invalidate_filter();
                this.tell_empty();
            }
        };
        self.search.connect_search_changed({
            let narrow = narrow.clone();
            move |_| narrow()
        });
        self.only_favourites.connect_toggled(move |_| narrow());
        let weak = Rc::downgrade(self);
        self.search.connect_activate(move |_| {
            if let Some(this) = weak.upgrade() {
                this.choose_first();
            }
        });
        self.search.connect_stop_search(|search| {
            search.set_text("");
            // The window has the action as long as it stands.
            let _ = search.activate_action("win.watch", None);
        });
        let weak = Rc::downgrade(self);
        self.list.connect_row_activated(move |list, row| {
            let Some(this) = weak.upgrade() else { return };
            if this.following.get() {
                return;
            }
            let found = this.rows.borrow().iter().find(|known| known.row == *row).cloned();
            if let Some(found) = found {
                let id = found.channel.borrow().id.to_variant();
                // The window has the action as long as it stands.
                let _ = list.activate_action("win.zap", Some(&id));
            }
        });
    }

    /// Plays the first channel that fits the search.
    fn choose_first(&self) {
        let shown = |row: &Rc<Row>| row.row.is_child_visible();
        let first = self.rows.borrow().iter().find(|row| shown(row)).cloned();
        if let Some(first) = first {
            let id = first.channel.borrow().id.to_variant();
            let _ = self.list.activate_action("win.zap", Some(&id));
            self.search.set_text("");
            let _ = self.list.activate_action("win.watch", None);
        }
    }

    fn fits(&self, index: usize) -> bool {
        let rows = self.rows.borrow();
        let Some(row) = rows.get(index) else { return true };
        let channel = row.channel.borrow();
        if self.only_favourites.is_active() && !channel.favourite {
            return false;
        }
        let wanted = self.search.text().to_lowercase();
        let wanted = wanted.trim();
        wanted.is_empty()
            || channel.name.to_lowercase().contains(wanted)
            || channel.number.to_string().starts_with(wanted)
            || row.now.text().to_lowercase().contains(wanted)
    }

    fn tell_empty(&self) {
        let any = (0..self.rows.borrow().len()).any(|index| self.fits(index));
        let text = if self.rows.borrow().is_empty() {
            tr("There are no channels in your package yet.")
        } else if self.only_favourites.is_active() && self.search.text().is_empty() {
            tr("No favourites yet. The star beside a channel makes it one.")
        } else {
            tr("No channel fits your search.")
        };
        say(&self.empty, text);
        self.stack.set_visible_child_name(if any { "list" } else { "empty" });
    }

    /// Takes over what is to be shown.
    pub(super) fn show(&self, view: &View) {
        self.take(&view.line_up);
        let (now, playing) = (SystemTime::now(), view.phase.channel());
        for row in self.rows.borrow().iter() {
            row.show(view.guide.on(&row.channel.borrow().id, now), now);
        }
        let rows = self.rows.borrow();
        let selected = rows.iter().find(|row| Some(row.channel.borrow().id.as_str()) == playing);
        self.following.set(true);
        let selected = selected.map(|row| &row.row);
        if self.list.selected_row().as_ref() != selected {
            self.list.select_row(selected);
            if let Some(row) = selected {
                bring_into_view(row);
            }
        }
        self.following.set(false);
        drop(rows);
        self.tell_empty();
    }

    fn take(&self, line_up: &[Channel]) {
        let same = {
            let rows = self.rows.borrow();
            rows.len() == line_up.len()
                && rows
                    .iter()
                    .zip(line_up)
                    .all(|(row, channel)| row.channel.borrow().id == channel.id)
        };
        if same {
            for (row, channel) in self.rows.borrow().iter().zip(line_up) {
                row.take(channel);
            }
            return;
        }
        while let Some(row) = self.list.row_at_index(0) {
            self.list.remove(&row);
        }
        let rows: Vec<_> = line_up.iter().map(|channel| Row::new(channel, &self.logos)).collect();
        // The filter asks for rows by index while they are added.
        self.rows.replace(rows.clone());
        for row in rows {
            self.list.append(&row.row);
        }
        self.list.invalidate_filter();
    }
}

/// Scrolls so far that a row is seen, without taking the focus.
fn bring_into_view(row: &gtk::ListBoxRow) {
    let weak = row.downgrade();
    gtk::glib::idle_add_local_once(move || {
        let Some(row) = weak.upgrade() else { return };
        let scroll = row.ancestor(gtk::ScrolledWindow::static_type());
        let scroll = scroll.and_downcast::<gtk::ScrolledWindow>();
        let (Some(scroll), Some(list)) = (scroll, row.parent()) else { return };
        if let Some(bounds) = row.compute_bounds(&list) {
            let top = f64::from(bounds.y());
            scroll.vadjustment().clamp_page(top - 40.0, top + f64::from(bounds.height()) + 40.0);
        }
    });
}

impl Row {
    fn new(channel: &Channel, logos: &Rc<Logos>) -> Rc<Self> {
        let number = label("", "number");
        number.set_width_chars(3);
        number.set_xalign(1.0);
        let tile = Tile::new(logos, (46, 34));
        let title = short("", "name");
        let now = short("", "now");
        // They take what room there is, and ask for none.
        title.set_max_width_chars(1);
        now.set_max_width_chars(1);
        let bar = progress();
        let text = column(2);
        text.set_hexpand(true);
        text.set_valign(gtk::Align::Center);
        fill(&text, &[title.upcast_ref(), now.upcast_ref(), bar.upcast_ref()]);
        let star = gtk::ToggleButton::builder()
            .icon_name("non-starred-symbolic")
            .valign(gtk::Align::Center)
            .css_classes(["star", "flat"])
            .build();
        let line = row(10);
        fill(
            &line,
            &[number.upcast_ref(), tile.root.upcast_ref(), text.upcast_ref(), star.upcast_ref()],
        );
        let row = gtk::ListBoxRow::new();
        row.set_child(Some(&line));
        let this = Rc::new(Self {
            row,
            channel: RefCell::new(channel.clone()),
            tile,
            number,
            title,
            now,
            bar,
            star,
        });
        this.take(channel);
        let weak = Rc::downgrade(&this);
        this.star.connect_toggled(move |star| {
            let Some(this) = weak.upgrade() else { return };
            let channel = this.channel.borrow();
            if star.is_active() != channel.favourite {
                let _ = star.activate_action("win.favourite", Some(&channel.id.to_variant()));
            }
        });
        this
    }

    fn take(&self, channel: &Channel) {
        self.channel.replace(channel.clone());
        say(&self.number, &channel.number.to_string());
        say(&self.title, &channel.name);
        self.tile.show(channel);
        mark(&self.row, "off-air", !channel.live);
        self.star.set_active(channel.favourite);
        let icon = if channel.favourite { "starred-symbolic" } else { "non-starred-symbolic" };
        change_icon(&self.star, icon);
        let text = if channel.favourite {
            tr("Remove {channel} from favourites")
        } else {
            tr("Add {channel} to favourites")
        };
        name(&self.star, &put(text, "channel", &channel.name));
    }

    fn show(&self, now: Option<&crate::guide::Programme>, at: SystemTime) {
        let channel = self.channel.borrow();
        let text = match now {
            _ if !channel.live => tr("Off air"),
            Some(programme) => &programme.title,
            None => "",
        };
        say(&self.now, text);
        self.now.set_visible(!text.is_empty());
        let programme = now.filter(|_| channel.live);
        self.bar.set_visible(programme.is_some());
        self.bar.set_fraction(programme.map_or(0.0, |programme| programme.progress(at)));
        let parts = [channel.number.to_string(), channel.name.clone(), text.to_owned()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        spoken(&self.row, &parts.join(", "));
    }
}
