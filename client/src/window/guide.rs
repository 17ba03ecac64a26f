//! The guide over the picture: channels down, time across; details of what is pointed at.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtk::glib;
use gtk::prelude::*;

use super::logos::{Logos, Tile};
use super::times::{clock, day, span};
use super::widgets::{
    clear, column, fill, icon_button, label, paragraph, role, row, say, short, spoken,
};
use super::words::{put, tr};
use crate::guide::{Guide, Programme};
use crate::television::{Channel, View};

/// Pixels of a minute.
const MINUTE: f64 = 5.0;
/// Height of a channel's row.
const ROW: i32 = 64;
/// Width of the column with the channels.
const HEAD: i32 = 190;
/// The least room for a programme's text, pixels: what does not fit is cut at its end.
const TEXT: f64 = 44.0;
/// How far the guide reaches.
const REACH: Duration = Duration::from_secs(12 * 3600);
/// Times are marked so often.
const HALF_HOUR: u64 = 1800;

/// What the view was built from.
type Built = (Arc<Guide>, Vec<Channel>, SystemTime);

/// The view.
pub(super) struct GuideView {
    pub(super) root: gtk::Box,
    date: gtk::Label,
    stack: gtk::Stack,
    heads: gtk::Box,
    hours: gtk::Fixed,
    lanes: gtk::Box,
    across: gtk::Adjustment,
    details: gtk::Box,
    what: gtk::Label,
    when: gtk::Label,
    about: gtk::Label,
    watch: gtk::Button,
    logos: Rc<Logos>,
    built: RefCell<Option<Built>>,
    /// The programme of the details: its channel and its beginning.
    chosen: RefCell<Option<(String, SystemTime)>>,
    first: RefCell<Vec<(String, gtk::Button)>>,
    begin: Cell<SystemTime>,
    /// The texts of programmes, and from where to where they may stand.
    texts: RefCell<Vec<(gtk::Box, f64, f64)>>,
}

impl GuideView {
    pub(super) fn new(logos: Rc<Logos>) -> Rc<Self> {
        let date = label("", "title");
        date.set_hexpand(true);
        let earlier = icon_button("go-previous-symbolic", tr("Earlier"), "win.guide-by");
        earlier.set_action_target_value(Some(&(-1_i32).to_variant()));
        let later = icon_button("go-next-symbolic", tr("Later"), "win.guide-by");
        later.set_action_target_value(Some(&1_i32.to_variant()));
        let now = gtk::Button::with_label(tr("Now"));
        now.set_action_name(Some("win.guide-by"));
        now.set_action_target_value(Some(&0_i32.to_variant()));
        let close = icon_button("window-close-symbolic", tr("Close the guide"), "win.guide");
        let bar = row(8);
        bar.add_css_class("bar");
        fill(
            &bar,
            &[
                date.upcast_ref(),
                earlier.upcast_ref(),
                now.upcast_ref(),
                later.upcast_ref(),
                close.upcast_ref(),
            ],
        );

        let (heads, lanes) = (column(0), column(0));
        let hours = gtk::Fixed::new();
        hours.set_size_request(-1, 30);
        let across = gtk::Adjustment::default();
        let down = gtk::Adjustment::default();
        let scroll = |child: &gtk::Widget, h: gtk::PolicyType, v: gtk::PolicyType| {
            gtk::ScrolledWindow::builder()
                .child(child)
                .hscrollbar_policy(h)
                .vscrollbar_policy(v)
                .build()
        };
        let heads_scroll =
            scroll(heads.upcast_ref(), gtk::PolicyType::Never, gtk::PolicyType::External);
        heads_scroll.set_vadjustment(Some(&down));
        heads_scroll.set_width_request(HEAD);
        heads_scroll.set_vexpand(true);
        let hours_scroll =
            scroll(hours.upcast_ref(), gtk::PolicyType::External, gtk::PolicyType::Never);
        hours_scroll.set_hadjustment(Some(&across));
        let lanes_scroll =
            scroll(lanes.upcast_ref(), gtk::PolicyType::Automatic, gtk::PolicyType::Automatic);
        lanes_scroll.set_hadjustment(Some(&across));
        lanes_scroll.set_vadjustment(Some(&down));
        lanes_scroll.set_hexpand(true);
        lanes_scroll.set_vexpand(true);
        // They follow the lanes, and hold nothing that has the focus.
        for follower in [&heads_scroll, &hours_scroll] {
            follower.set_can_focus(false);
        }
        let left = column(0);
        let corner = label("", "");
        corner.set_size_request(HEAD, 30);
        fill(&left, &[corner.upcast_ref(), heads_scroll.upcast_ref()]);
        let right = column(0);
        fill(&right, &[hours_scroll.upcast_ref(), lanes_scroll.upcast_ref()]);
        let grid = row(0);
        fill(&grid, &[left.upcast_ref(), right.upcast_ref()]);

        let empty = paragraph(
            tr(
                "Your operator gives no guide. The channels are in the list, and the arrow keys go through them.",
            ),
            "empty",
        );
        empty.set_justify(gtk::Justification::Center);
        empty.set_xalign(0.5);
        empty.set_valign(gtk::Align::Center);
        let stack = gtk::Stack::new();
        stack.set_vexpand(true);
        stack.add_named(&grid, Some("grid"));
        stack.add_named(&empty, Some("empty"));

        let (what, when) = (short("", "title"), short("", "meta"));
        let about = paragraph("", "");
        about.set_lines(3);
        about.set_ellipsize(gtk::pango::EllipsizeMode::End);
        about.set_valign(gtk::Align::Start);
        let text = column(4);
        text.set_hexpand(true);
        fill(&text, &[what.upcast_ref(), when.upcast_ref(), about.upcast_ref()]);
        let watch = gtk::Button::with_label(tr("Watch"));
        watch.add_css_class("primary");
        watch.set_valign(gtk::Align::Center);
        // For the mouse: by keys the programme itself is played, and Tab would find this only behind the last programme.
        watch.set_focusable(false);
        watch.set_width_request(120);
        let details = row(20);
        details.add_css_class("details");
        details.set_size_request(-1, 118);
        fill(&details, &[text.upcast_ref(), watch.upcast_ref()]);

        let root = column(0);
        root.add_css_class("guide");
        role(&root, gtk::AccessibleRole::Region);
        spoken(&root, tr("Guide"));
        fill(&root, &[bar.upcast_ref(), stack.upcast_ref(), details.upcast_ref()]);
        root.set_visible(false);
        let this = Rc::new(Self {
            root,
            date,
            stack,
            heads,
            hours,
            lanes,
            across,
            details,
            what,
            when,
            about,
            watch,
            logos,
            built: RefCell::default(),
            chosen: RefCell::default(),
            first: RefCell::default(),
            begin: Cell::new(UNIX_EPOCH),
            texts: RefCell::default(),
        });
        let weak = Rc::downgrade(&this);
        this.watch.connect_clicked(move |_| {
            if let Some(this) = weak.upgrade() {
                this.watch_chosen();
            }
        });
        let weak = Rc::downgrade(&this);
        this.across.connect_value_changed(move |across| {
            if let Some(this) = weak.upgrade() {
                let seconds = across.value() / MINUTE * 60.0;
                let at = this.begin.get() + Duration::from_secs_f64(seconds.max(0.0));
                say(&this.date, &day(at, SystemTime::now()));
                this.pin_texts();
            }
        });
        this
    }

    /// What began before the part that is in sight keeps its text in sight.
    fn pin_texts(&self) {
        let left = self.across.value();
        for (text, from, to) in &*self.texts.borrow() {
            text.set_margin_start((left - from).clamp(0.0, (to - from).max(0.0)) as i32);
        }
    }

    fn watch_chosen(&self) {
        let chosen = self.chosen.borrow().clone();
        if let Some((channel, _)) = chosen {
            let _ = self.root.activate_action("win.zap", Some(&channel.to_variant()));
            let _ = self.root.activate_action("win.guide", None);
        }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.root.is_visible()
    }

    /// Shows or hides the guide.
    pub(super) fn toggle(self: &Rc<Self>, view: &View) {
        let shown = !self.is_shown();
        self.root.set_visible(shown);
        if !shown {
            return;
        }
        self.show(view);
        self.by(0);
        let playing = view.phase.channel().unwrap_or_default();
        let first = self.first.borrow();
        let at = first.iter().find(|(channel, _)| channel == playing).or_else(|| first.first());
        if let Some((_, button)) = at {
            button.grab_focus();
        }
    }

    /// An hour later, earlier, or (0) to the present.
    pub(super) fn by(&self, hours: i32) {
        let to = match hours {
            0 => {
                SystemTime::now().duration_since(self.begin.get()).unwrap_or_default().as_secs_f64()
                    / 60.0
                    * MINUTE
                    - 60.0
            }
            hours => self.across.value() + f64::from(hours) * 60.0 * MINUTE,
        };
        let across = self.across.clone();
        // It is as wide as it will be only after it was laid out.
        glib::idle_add_local_once(move || across.set_value(to));
        say(&self.date, &day(SystemTime::now(), SystemTime::now()));
    }

    /// Takes over what is to be shown.
    pub(super) fn show(self: &Rc<Self>, view: &View) {
        if !self.is_shown() {
            return;
        }
        let begin = half_hour(SystemTime::now() - Duration::from_secs(1200));
        let same = self.built.borrow().as_ref().is_some_and(|(guide, line_up, at)| {
            Arc::ptr_eq(guide, &view.guide) && *line_up == view.line_up && *at == begin
        });
        if !same {
            self.build(view, begin);
            self.built.replace(Some((view.guide.clone(), view.line_up.clone(), begin)));
        }
    }

    fn build(self: &Rc<Self>, view: &View, begin: SystemTime) {
        let empty = view.guide.is_empty();
        self.stack.set_visible_child_name(if empty { "empty" } else { "grid" });
        self.details.set_visible(!empty);
        self.begin.set(begin);
        clear(&self.heads);
        clear(&self.lanes);
        while let Some(hour) = self.hours.first_child() {
            self.hours.remove(&hour);
        }
        self.first.borrow_mut().clear();
        self.texts.borrow_mut().clear();
        if empty {
            return;
        }
        for half in 0..REACH.as_secs() / HALF_HOUR {
            let at = begin + Duration::from_secs(half * HALF_HOUR);
            let hour = label(&clock(at), "hour");
            hour.set_size_request((30.0 * MINUTE) as i32, 30);
            self.hours.put(&hour, half as f64 * 30.0 * MINUTE, 0.0);
        }
        for channel in &view.line_up {
            let tile = Tile::new(&self.logos, (46, 34));
            tile.show(channel);
            let head = row(10);
            head.add_css_class("head");
            head.add_css_class("row");
            head.set_size_request(HEAD, ROW);
            fill(&head, &[tile.root.upcast_ref(), short(&channel.name, "name").upcast_ref()]);
            self.heads.append(&head);
            self.lanes.append(&self.lane(channel, &view.guide, begin));
        }
        self.pin_texts();
    }

    fn lane(self: &Rc<Self>, channel: &Channel, guide: &Guide, begin: SystemTime) -> gtk::Fixed {
        let lane = gtk::Fixed::new();
        lane.add_css_class("row");
        lane.set_size_request((REACH.as_secs_f64() / 60.0 * MINUTE) as i32, ROW);
        let now = SystemTime::now();
        let pixels = |at: SystemTime| {
            at.duration_since(begin).unwrap_or_default().as_secs_f64().min(REACH.as_secs_f64())
                / 60.0
                * MINUTE
        };
        for programme in guide.between(&channel.id, begin, begin + REACH) {
            let (left, right) = (pixels(programme.start), pixels(programme.end));
            let (title, when) =
                (short(&programme.title, "what"), short(&clock(programme.start), "when"));
            let text = column(0);
            text.set_valign(gtk::Align::Center);
            fill(&text, &[title.upcast_ref(), when.upcast_ref()]);
            self.texts.borrow_mut().push((text.clone(), left, right - TEXT));
            let button = gtk::Button::builder().child(&text).css_classes(["programme"]).build();
            button.set_size_request((right - left - 2.0).max(8.0) as i32, ROW - 6);
            button.set_overflow(gtk::Overflow::Hidden);
            let on = programme.start <= now && now < programme.end;
            if on {
                button.add_css_class("on");
                self.first.borrow_mut().push((channel.id.clone(), button.clone()));
            }
            let text = format!(
                "{}, {}, {}",
                channel.name,
                programme.title,
                span(programme.start, programme.end)
            );
            spoken(&button, &text);
            let weak = Rc::downgrade(self);
            let (id, name, about) = (channel.id.clone(), channel.name.clone(), programme.clone());
            let tell = move || {
                if let Some(this) = weak.upgrade() {
                    this.detail(&id, &name, &about);
                }
            };
            let focus = gtk::EventControllerFocus::new();
            focus.connect_enter({
                let tell = tell.clone();
                move |_| tell()
            });
            button.add_controller(focus);
            let weak = Rc::downgrade(self);
            let chosen = Some((channel.id.clone(), programme.start));
            // The mouse shows details first, and plays at the second click; who comes by keys has the details already.
            button.set_focus_on_click(false);
            button.connect_clicked(move |_| {
                let Some(this) = weak.upgrade() else { return };
                let again = *this.chosen.borrow() == chosen;
                tell();
                if on && again {
                    this.watch_chosen();
                }
            });
            lane.put(&button, left, 0.0);
        }
        lane
    }

    fn detail(&self, channel: &str, name: &str, programme: &Programme) {
        let now = SystemTime::now();
        let on = programme.start <= now && now < programme.end;
        say(&self.what, &programme.title);
        let when = format!(
            "{name}  ·  {}  ·  {}",
            day(programme.start, now),
            span(programme.start, programme.end)
        );
        let extra = [
            programme.episode.clone(),
            programme.year.map(|year| year.to_string()),
            programme.rating.clone(),
        ];
        let line: Vec<_> = std::iter::once(when).chain(extra.into_iter().flatten()).collect();
        say(&self.when, &line.join("  ·  "));
        let about = [programme.subtitle.as_deref(), programme.description.as_deref()];
        let about: Vec<_> = about.into_iter().flatten().collect();
        say(&self.about, &about.join(". "));
        self.watch.set_visible(on);
        spoken(&self.watch, &put(tr("Watch {channel}"), "channel", name));
        self.chosen.replace(Some((channel.to_owned(), programme.start)));
    }
}

/// The half hour before.
fn half_hour(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds / HALF_HOUR * HALF_HOUR)
}
