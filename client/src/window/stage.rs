//! The picture and all that lies over it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use gtk::prelude::*;
use gtk::{gdk, glib};

use super::banner::{Banner, when};
use super::logos::Logos;
use super::screen::Screen;
use super::statistics::Statistics;
use super::times::clock;
use super::widgets::{clear, column, fill, label, mark, paragraph, role, row, say, short, spoken};
use super::words::{put, tr};
use crate::problem::{Problem, Severity};
use crate::television::{Phase, View};
use crate::timeshift::Position;

/// How long the banner stays.
const STAY: Duration = Duration::from_secs(4);
/// How long a word about the volume stays.
const BRIEFLY: Duration = Duration::from_millis(1500);
/// A start that takes longer says so.
const PATIENCE: Duration = Duration::from_millis(700);

/// The picture with its overlays.
pub(super) struct Stage {
    pub(super) root: gtk::Overlay,
    pub(super) screen: Screen,
    picture: gtk::Picture,
    pub(super) banner: Rc<Banner>,
    waiting: gtk::Box,
    waiting_name: gtk::Label,
    waiting_what: gtk::Label,
    spinner: gtk::Spinner,
    again: gtk::Button,
    digits: gtk::Label,
    toast: gtk::Label,
    toast_turn: Cell<u64>,
    trouble: gtk::Revealer,
    trouble_box: gtk::Box,
    what: gtk::Label,
    doing: gtk::Label,
    /// What the viewer put away, as long as it lasts.
    dismissed: RefCell<Vec<Problem>>,
    told: RefCell<Option<Problem>>,
    information: gtk::Revealer,
    information_text: gtk::Box,
    pub(super) statistics: Rc<Statistics>,
    /// When the banner goes away.
    until: Cell<Option<Instant>>,
    since: Cell<Instant>,
    has_picture: Cell<bool>,
    /// Whether what is received has no picture.
    sound_alone: Cell<bool>,
}

impl Stage {
    pub(super) fn new(logos: &Rc<Logos>) -> Rc<Self> {
        let screen = Screen::new();
        let picture = gtk::Picture::for_paintable(&screen);
        picture.set_content_fit(gtk::ContentFit::Contain);
        picture.set_can_shrink(true);
        picture.set_hexpand(true);
        picture.set_vexpand(true);
        // Where the focus is while nothing else has it: keys are for the picture.
        picture.set_focusable(true);
        spoken(&picture, tr("Picture"));
        let root = gtk::Overlay::new();
        root.add_css_class("stage");
        root.set_hexpand(true);
        root.set_child(Some(&picture));

        let waiting_name = label("", "big");
        waiting_name.set_xalign(0.5);
        waiting_name.set_ellipsize(gtk::pango::EllipsizeMode::End);
        let waiting_what = paragraph("", "");
        waiting_what.set_xalign(0.5);
        waiting_what.set_justify(gtk::Justification::Center);
        waiting_what.set_max_width_chars(46);
        let spinner = gtk::Spinner::new();
        spinner.set_size_request(30, 30);
        let again = gtk::Button::with_label(tr("Try again now"));
        again.add_css_class("pill");
        again.set_halign(gtk::Align::Center);
        again.set_action_name(Some("win.retry"));
        let waiting = column(12);
        waiting.add_css_class("waiting");
        waiting.set_halign(gtk::Align::Center);
        waiting.set_valign(gtk::Align::Center);
        waiting.set_margin_start(24);
        waiting.set_margin_end(24);
        fill(
            &waiting,
            &[
                waiting_name.upcast_ref(),
                spinner.upcast_ref(),
                waiting_what.upcast_ref(),
                again.upcast_ref(),
            ],
        );
        root.add_overlay(&waiting);

        let banner = Banner::new(logos);
        root.add_overlay(&banner.root);

        let digits = corner(&root, "digits", gtk::Align::End, gtk::Align::Start);
        let toast = corner(&root, "toast", gtk::Align::Center, gtk::Align::Start);

        let (information, information_text) = information_panel();
        root.add_overlay(&information);
        let statistics = Statistics::new();
        root.add_overlay(&statistics.root);

        let what = paragraph("", "what");
        let doing = paragraph("", "doing");
        let words = column(2);
        words.set_hexpand(true);
        fill(&words, &[what.upcast_ref(), doing.upcast_ref()]);
        let away = gtk::Button::from_icon_name("window-close-symbolic");
        away.add_css_class("flat-on-dark");
        away.set_valign(gtk::Align::Start);
        super::widgets::name(&away, tr("Put this message away"));
        let trouble_box = row(12);
        trouble_box.add_css_class("trouble");
        role(&trouble_box, gtk::AccessibleRole::Alert);
        fill(&trouble_box, &[words.upcast_ref(), away.upcast_ref()]);
        let trouble = gtk::Revealer::builder()
            .transition_type(gtk::RevealerTransitionType::SlideDown)
            .halign(gtk::Align::Center)
            .valign(gtk::Align::Start)
            .margin_top(16)
            .margin_start(16)
            .margin_end(16)
            .child(&trouble_box)
            .build();
        what.set_max_width_chars(56);
        doing.set_max_width_chars(56);
        root.add_overlay(&trouble);

        let this = Rc::new(Self {
            root,
            screen,
            picture,
            banner,
            waiting,
            waiting_name,
            waiting_what,
            spinner,
            again,
            digits,
            toast,
            toast_turn: Cell::default(),
            trouble,
            trouble_box,
            what,
            doing,
            dismissed: RefCell::default(),
            told: RefCell::default(),
            information,
            information_text,
            statistics,
            until: Cell::default(),
            since: Cell::new(Instant::now()),
            has_picture: Cell::default(),
            sound_alone: Cell::default(),
        });
        let weak = Rc::downgrade(&this);
        away.connect_clicked(move |_| {
            if let Some(this) = weak.upgrade() {
                // What is less bad, if there is anything, is told at the next look.
                this.dismissed.borrow_mut().extend(this.told.take());
                this.trouble.set_reveal_child(false);
            }
        });
        this.connect();
        this
    }

    fn connect(self: &Rc<Self>) {
        let motion = gtk::EventControllerMotion::new();
        let last = Cell::new((0.0, 0.0));
        let weak = Rc::downgrade(self);
        motion.connect_motion(move |_, x, y| {
            // GTK repeats a motion when something under the pointer changes.
            if last.replace((x, y)) != (x, y)
                && let Some(this) = weak.upgrade()
            {
                this.reveal(STAY);
            }
        });
        self.root.add_controller(motion);
        let click = gtk::GestureClick::new();
        let weak = Rc::downgrade(self);
        click.connect_released(move |_, times, _, _| {
            let Some(this) = weak.upgrade() else { return };
            if times == 2 {
                let _ = this.root.activate_action("win.full-screen", None);
            }
            this.reveal(STAY);
        });
        self.picture.add_controller(click);
        let scroll = gtk::EventControllerScroll::new(
            gtk::EventControllerScrollFlags::VERTICAL | gtk::EventControllerScrollFlags::DISCRETE,
        );
        let weak = Rc::downgrade(self);
        scroll.connect_scroll(move |_, _, dy| {
            if let Some(this) = weak.upgrade() {
                let step = if dy < 0.0 { 5_i32 } else { -5 };
                let _ = this.root.activate_action("win.volume-by", Some(&step.to_variant()));
            }
            glib::Propagation::Stop
        });
        self.picture.add_controller(scroll);
    }

    /// Takes the focus from whatever has it.
    pub(super) fn focus(&self) {
        self.picture.grab_focus();
    }

    /// Shows the banner for a while.
    pub(super) fn reveal(&self, time: Duration) {
        self.until.set(Some(Instant::now() + time));
        self.banner.root.set_reveal_child(true);
        self.banner.root.set_visible(true);
        self.pointer(true);
    }

    /// Shows the banner as long as is usual.
    pub(super) fn wake(&self) {
        self.reveal(STAY);
    }

    fn pointer(&self, shown: bool) {
        let cursor = if shown { None } else { gdk::Cursor::from_name("none", None) };
        self.root.set_cursor(cursor.as_ref());
    }

    /// Something else is started: its name is there at once, its picture is not.
    pub(super) fn begin(&self) {
        self.screen.show(None);
        self.has_picture.set(false);
        self.sound_alone.set(false);
        self.since.set(Instant::now());
        // What has to do with the channel is told again; that there is no sound device, say, is not at each change.
        self.dismissed.borrow_mut().retain(|problem| problem.severity() != Severity::Stops);
        self.wake();
    }

    /// The first picture is there.
    pub(super) fn pictured(&self) {
        self.has_picture.set(true);
    }

    /// Whether what is received has no picture: another rendition than before, or a radio channel.
    pub(super) fn sound_alone(&self, alone: bool) {
        if alone && !self.sound_alone.get() {
            self.screen.show(None);
            self.has_picture.set(false);
        }
        self.sound_alone.set(alone);
    }

    /// Takes over what is to be shown.
    pub(super) fn show(&self, view: &View, position: Option<Position>) {
        self.banner.show(view, position);
        self.banner.fit(self.root.width());
        self.wait(view);
        self.tell(view);
        self.inform(view, position);
        let playing = view.phase.channel().is_some();
        self.banner.root.set_visible(playing);
        // Above the banner, however large its text is.
        let banner = if playing { self.banner.root.height() } else { 0 };
        self.waiting.set_margin_bottom(banner.max(60));
    }

    fn wait(&self, view: &View) {
        let name = view
            .phase
            .channel()
            .and_then(|id| view.line_up.iter().find(|channel| channel.id == id));
        let stopped = matches!(view.phase, Phase::Stopped { .. });
        let choosing = matches!(view.phase, Phase::Choosing);
        let shown = choosing || stopped || !self.has_picture.get();
        self.waiting.set_visible(shown);
        let alone = self.sound_alone.get() && !choosing && !stopped;
        let turning =
            shown && !choosing && !stopped && !alone && self.since.get().elapsed() > PATIENCE;
        self.spinner.set_visible(turning);
        self.spinner.set_spinning(turning);
        let title = name.map_or("", |channel| &channel.name);
        say(&self.waiting_name, if choosing { tr("What would you like to watch?") } else { title });
        let worst = view.problems.first().filter(|problem| problem.severity() == Severity::Stops);
        let text = match worst {
            Some(problem) if stopped || turning => {
                let (what, doing) = words(problem);
                format!("{what}\n{doing}")
            }
            _ if choosing && view.line_up.is_empty() => {
                tr("Waiting for the list of channels …").to_owned()
            }
            _ if choosing => tr("Choose a channel from the list, or type its number.").to_owned(),
            _ if alone => tr("There is sound and no picture.").to_owned(),
            _ if turning => tr("The picture is coming …").to_owned(),
            _ => String::new(),
        };
        say(&self.waiting_what, &text);
        self.waiting_what.set_visible(!text.is_empty());
        self.again.set_visible(stopped);
    }

    fn tell(&self, view: &View) {
        let mut dismissed = self.dismissed.borrow_mut();
        dismissed.retain(|problem| view.problems.contains(problem));
        // What stops the picture is told in its place.
        let in_place = self.waiting.is_visible();
        let worst = view
            .problems
            .iter()
            .filter(|problem| !(in_place && problem.severity() == Severity::Stops))
            .find(|problem| !dismissed.contains(problem))
            .cloned();
        if let Some(problem) = &worst {
            let (what, doing) = words(problem);
            say(&self.what, &what);
            say(&self.doing, &doing);
            mark(&self.trouble_box, "stops", problem.severity() == Severity::Stops);
            mark(&self.trouble_box, "notice", problem.severity() == Severity::Notice);
        }
        self.trouble.set_reveal_child(worst.is_some());
        self.trouble.set_visible(worst.is_some());
        self.told.replace(worst);
    }

    fn inform(&self, view: &View, position: Option<Position>) {
        if !self.information.reveals_child() {
            return;
        }
        let Some(id) = view.phase.channel() else { return };
        let at = position.map_or_else(SystemTime::now, Position::time);
        let text = &self.information_text;
        let name = view.line_up.iter().find(|channel| channel.id == id);
        let now = view.guide.on(id, at);
        let mark = format!("{id}{:?}", now.map(|now| now.start));
        if text.widget_name() == mark {
            return;
        }
        text.set_widget_name(&mark);
        clear(text);
        if let Some(channel) = name {
            text.append(&short(&format!("{}  {}", channel.number, channel.name), "label"));
        }
        match now {
            Some(programme) => {
                text.append(&paragraph(&programme.title, "title"));
                let line = [
                    Some(when(programme)),
                    programme.episode.clone(),
                    programme.year.map(|year| year.to_string()),
                    programme.rating.clone(),
                ];
                let line: Vec<_> = line.into_iter().flatten().collect();
                text.append(&paragraph(&line.join("  ·  "), "label"));
                for part in [&programme.subtitle, &programme.description].into_iter().flatten() {
                    text.append(&paragraph(part, ""));
                }
                if !programme.categories.is_empty() {
                    text.append(&paragraph(&programme.categories.join(", "), "label"));
                }
            }
            None => text.append(&paragraph(
                tr("Your operator tells nothing about this programme."),
                "label",
            )),
        }
        for next in view.guide.after(id, at).take(4) {
            text.append(&short(&format!("{}  {}", clock(next.start), next.title), "value"));
        }
    }

    /// Once in a while: what goes away by itself.
    pub(super) fn tick(&self, full: bool) {
        let held = self.banner.tracks.popover().is_some_and(|menu| menu.is_visible())
            || self.banner.root.focus_child().is_some()
            || !self.has_picture.get();
        if self.until.get().is_some_and(|until| Instant::now() >= until) && !held {
            self.until.set(None);
            self.banner.root.set_reveal_child(self.information.reveals_child());
            self.pointer(!full);
        }
    }

    /// Whether the banner is shown.
    pub(super) fn is_revealed(&self) -> bool {
        self.banner.root.reveals_child()
    }

    /// Hides the banner.
    pub(super) fn conceal(&self) {
        self.until.set(None);
        self.banner.root.set_reveal_child(false);
    }

    /// What is typed of a channel's number.
    pub(super) fn type_number(&self, digits: &str) {
        self.digits.set_text(digits);
        self.digits.set_visible(!digits.is_empty());
    }

    /// Says something for a moment.
    pub(super) fn say(self: &Rc<Self>, text: &str) {
        self.toast.set_text(text);
        self.toast.set_visible(true);
        let turn = self.toast_turn.get() + 1;
        self.toast_turn.set(turn);
        let weak = Rc::downgrade(self);
        glib::timeout_add_local_once(BRIEFLY, move || {
            if let Some(this) = weak.upgrade().filter(|this| this.toast_turn.get() == turn) {
                this.toast.set_visible(false);
            }
        });
    }

    /// Shows or hides what is known of the programme.
    pub(super) fn toggle_information(&self) {
        let shown = !self.information.reveals_child();
        self.information_text.set_widget_name("");
        self.information.set_reveal_child(shown);
        self.information.set_visible(shown);
        self.says_what_is_on();
        if shown {
            self.wake();
        }
    }

    /// Shows or hides the figures.
    pub(super) fn toggle_statistics(&self) {
        self.statistics.toggle();
        self.says_what_is_on();
    }

    /// The banner says what is on unless something else stands there.
    fn says_what_is_on(&self) {
        let free = !self.information.reveals_child() && !self.statistics.is_shown();
        self.banner.says_what_is_on(free);
    }

    /// Hides the innermost of what lies over the picture; `false` if there is nothing.
    pub(super) fn back(&self) -> bool {
        if self.statistics.is_shown() {
            self.toggle_statistics();
        } else if self.information.reveals_child() {
            self.toggle_information();
        } else {
            return false;
        }
        true
    }
}

/// What is wrong and what is done about it, in the viewer's language.
pub(super) fn words(problem: &Problem) -> (String, String) {
    let (what, doing) = (problem.words(), problem.doing());
    (what.fill(tr(what.id)), doing.fill(tr(doing.id)))
}

/// Says how loud it is.
pub(super) fn loudness(volume: u8, muted: bool) -> String {
    if muted {
        tr("Sound off").to_owned()
    } else {
        put(tr("Volume {percent} %"), "percent", volume)
    }
}

fn corner(root: &gtk::Overlay, class: &str, across: gtk::Align, down: gtk::Align) -> gtk::Label {
    let label = label("", class);
    label.set_halign(across);
    label.set_valign(down);
    label.set_margin_top(22);
    label.set_margin_start(22);
    label.set_margin_end(22);
    label.set_visible(false);
    label.set_can_target(false);
    root.add_overlay(&label);
    label
}

fn information_panel() -> (gtk::Revealer, gtk::Box) {
    let text = column(8);
    text.set_margin_end(6);
    let scroll = gtk::ScrolledWindow::builder()
        .hscrollbar_policy(gtk::PolicyType::Never)
        .propagate_natural_height(true)
        .max_content_height(420)
        .child(&text)
        .build();
    let panel = column(0);
    panel.add_css_class("panel");
    panel.set_width_request(330);
    role(&panel, gtk::AccessibleRole::Region);
    spoken(&panel, tr("Information"));
    panel.append(&scroll);
    let revealer = gtk::Revealer::builder()
        .transition_type(gtk::RevealerTransitionType::Crossfade)
        .halign(gtk::Align::Start)
        .valign(gtk::Align::Start)
        .margin_top(92)
        .margin_start(18)
        .child(&panel)
        .visible(false)
        .build();
    (revealer, text)
}
