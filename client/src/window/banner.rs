//! What lies over the lower part of the picture: the channel, what is on, the time line, the buttons. It is there at once
//! on every zap, and goes away by itself.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use gtk::glib;
use gtk::prelude::*;

use super::logos::{Logos, Tile};
use super::times::{clock, span, stretch};
use super::widgets::{
    change_icon, column, fill, icon_button, label, mark, name, progress, row, say, short, spoken,
};
use super::words::{put, tr};
use crate::television::{Mode, View};
use crate::timeshift::Position;

/// A picture that is less wide than this, pixels, has no room for all buttons.
const ROOMY: i32 = 620;

/// The banner.
pub(super) struct Banner {
    pub(super) root: gtk::Revealer,
    tile: Tile,
    number: gtk::Label,
    title: gtk::Label,
    badge: gtk::Label,
    now: gtk::Label,
    from: gtk::Label,
    bar: gtk::ProgressBar,
    until: gtk::Label,
    times: gtk::Box,
    next: gtk::Label,
    behind: gtk::Label,
    line: gtk::Scale,
    to_live: gtk::Button,
    time_line: gtk::Box,
    pause: gtk::Button,
    back: gtk::Button,
    forth: gtk::Button,
    restart: gtk::Button,
    mute: gtk::Button,
    volume: gtk::Scale,
    pub(super) tracks: gtk::MenuButton,
    full: gtk::Button,
    /// What is on: the channel and its programme.
    top: gtk::Box,
    /// Buttons for what keys and menus do, too: a narrow window has no room for them.
    spare: [gtk::Button; 3],
    /// Set while the widgets follow the player.
    following: Cell<bool>,
}

impl Banner {
    pub(super) fn new(logos: &Rc<Logos>) -> Rc<Self> {
        let tile = Tile::new(logos, (66, 48));
        let number = label("", "number");
        let title = short("", "name");
        let badge = label(tr("LIVE"), "badge");
        badge.set_valign(gtk::Align::Center);
        let heading = row(12);
        fill(&heading, &[number.upcast_ref(), title.upcast_ref(), badge.upcast_ref()]);
        let now = short("", "now");
        let (from, until, bar) = (label("", "times"), label("", "times"), progress());
        bar.set_hexpand(true);
        let times = row(10);
        fill(&times, &[from.upcast_ref(), bar.upcast_ref(), until.upcast_ref()]);
        let next = short("", "next");
        let text = column(4);
        text.set_hexpand(true);
        fill(
            &text,
            &[heading.upcast_ref(), now.upcast_ref(), times.upcast_ref(), next.upcast_ref()],
        );
        let top = row(16);
        fill(&top, &[tile.root.upcast_ref(), text.upcast_ref()]);
        tile.root.set_valign(gtk::Align::Start);

        let behind = label("", "clock");
        behind.set_width_chars(8);
        let line = gtk::Scale::with_range(gtk::Orientation::Horizontal, 0.0, 1.0, 10.0);
        line.set_hexpand(true);
        line.set_draw_value(false);
        name(&line, tr("Time line"));
        let to_live = gtk::Button::with_label(tr("LIVE"));
        to_live.add_css_class("live");
        to_live.set_valign(gtk::Align::Center);
        to_live.set_action_name(Some("win.live"));
        to_live.set_tooltip_text(Some(tr("Jump to live")));
        let time_line = row(10);
        fill(&time_line, &[behind.upcast_ref(), line.upcast_ref(), to_live.upcast_ref()]);

        let button = |icon, text, action| {
            let button = icon_button(icon, text, action);
            button.add_css_class("flat-on-dark");
            button.set_valign(gtk::Align::Center);
            button
        };
        let pause = button("media-playback-pause-symbolic", tr("Pause"), "win.pause");
        let back = button("media-seek-backward-symbolic", tr("Back 10 seconds"), "win.seek-by");
        back.set_action_target_value(Some(&(-10_i32).to_variant()));
        let forth = button("media-seek-forward-symbolic", tr("Forward 10 seconds"), "win.seek-by");
        forth.set_action_target_value(Some(&10_i32.to_variant()));
        let restart = button(
            "media-skip-backward-symbolic",
            tr("Programme from its beginning"),
            "win.restart",
        );
        let mute = button("audio-volume-high-symbolic", tr("Mute"), "win.mute");
        let volume = gtk::Scale::with_range(gtk::Orientation::Horizontal, 0.0, 100.0, 5.0);
        volume.set_width_request(84);
        volume.set_draw_value(false);
        name(&volume, tr("Volume"));
        let spacer = row(0);
        spacer.set_hexpand(true);
        let tracks = gtk::MenuButton::builder()
            .icon_name("media-view-subtitles-symbolic")
            .direction(gtk::ArrowType::Up)
            .css_classes(["flat-on-dark"])
            .valign(gtk::Align::Center)
            .build();
        name(&tracks, tr("Sound and subtitles"));
        let information = button("help-about-symbolic", tr("Information"), "win.information");
        let guide = button("x-office-calendar-symbolic", tr("Guide"), "win.guide");
        let figures =
            button("network-transmit-receive-symbolic", tr("Statistics"), "win.statistics");
        let full = button("view-fullscreen-symbolic", tr("Full screen"), "win.full-screen");
        let buttons = row(2);
        fill(
            &buttons,
            &[
                pause.upcast_ref(),
                back.upcast_ref(),
                forth.upcast_ref(),
                restart.upcast_ref(),
                mute.upcast_ref(),
                volume.upcast_ref(),
                spacer.upcast_ref(),
                tracks.upcast_ref(),
                information.upcast_ref(),
                guide.upcast_ref(),
                figures.upcast_ref(),
                full.upcast_ref(),
            ],
        );

        let restart_button = restart.clone();
        let all = column(10);
        all.add_css_class("banner");
        fill(&all, &[top.upcast_ref(), time_line.upcast_ref(), buttons.upcast_ref()]);
        let root = gtk::Revealer::builder()
            .transition_type(gtk::RevealerTransitionType::Crossfade)
            .transition_duration(180)
            .valign(gtk::Align::End)
            .child(&all)
            .build();
        let this = Rc::new(Self {
            root,
            tile,
            number,
            title,
            badge,
            now,
            from,
            bar,
            until,
            times,
            next,
            behind,
            line,
            to_live,
            time_line,
            pause,
            back,
            forth,
            restart,
            mute,
            volume,
            tracks,
            full,
            top,
            spare: [restart_button, guide, figures],
            following: false.into(),
        });
        this.connect();
        this
    }

    /// Leaves out what there is no room for.
    pub(super) fn fit(&self, width: i32) {
        let roomy = width == 0 || width >= ROOMY;
        self.spare.iter().for_each(|button| button.set_visible(roomy));
    }

    /// Whether it says what is on; something else over the picture may.
    pub(super) fn says_what_is_on(&self, says: bool) {
        self.top.set_visible(says);
    }

    fn connect(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        self.line.connect_change_value(move |line, _, value| {
            if weak.upgrade().is_some_and(|this| !this.following.get()) {
                let _ = line.activate_action("win.seek-to", Some(&(value as u64).to_variant()));
            }
            glib::Propagation::Proceed
        });
        let weak = Rc::downgrade(self);
        self.volume.connect_value_changed(move |volume| {
            if weak.upgrade().is_some_and(|this| !this.following.get()) {
                let _ = volume
                    .activate_action("win.volume", Some(&(volume.value() as i32).to_variant()));
            }
        });
    }

    /// Takes over what is to be shown.
    pub(super) fn show(&self, view: &View, position: Option<Position>) {
        let channel = view.phase.channel();
        let Some(channel) = view.line_up.iter().find(|known| Some(known.id.as_str()) == channel)
        else {
            return;
        };
        self.tile.show(channel);
        say(&self.number, &channel.number.to_string());
        say(&self.title, &channel.name);
        // Behind live, what is shown is not what is on.
        let at = position.map_or_else(SystemTime::now, Position::time);
        let now = view.guide.on(&channel.id, at);
        say(&self.now, now.map_or("", |programme| &programme.title));
        self.now.set_visible(now.is_some());
        self.times.set_visible(now.is_some());
        if let Some(programme) = now {
            say(&self.from, &clock(programme.start));
            say(&self.until, &clock(programme.end));
            self.bar.set_fraction(programme.progress(at));
        }
        let next = view.guide.after(&channel.id, at).next();
        let text = next.map(|next| {
            put(&put(tr("Next: {time} {title}"), "time", clock(next.start)), "title", &next.title)
        });
        say(&self.next, text.as_deref().unwrap_or_default());
        self.next.set_visible(text.is_some());
        self.transport(view, position);
        self.sound(view);
    }

    fn transport(&self, view: &View, position: Option<Position>) {
        let transport = &view.transport;
        let live = transport.mode == Mode::Live;
        let paused = transport.mode == Mode::Paused;
        self.following.set(true);
        if let Some((oldest, edge)) = transport.oldest.zip(transport.edge) {
            let shown = if live { edge } else { position.or(transport.shown).unwrap_or(edge) };
            self.line.set_range(oldest.0 as f64, (edge.0.max(oldest.0 + 1)) as f64);
            self.line.set_increments(10e6, 60e6);
            self.line.set_value(shown.0 as f64);
            let behind = edge.since(shown);
            let text = if live || behind < Duration::from_secs(1) {
                clock(shown.time())
            } else {
                format!("−{}", stretch(behind))
            };
            say(&self.behind, &text);
            let place = put(tr("Time line, {time} behind live"), "time", stretch(behind));
            spoken(&self.line, if live { tr("Time line, live") } else { &place });
            self.time_line.set_sensitive(edge.since(oldest) > Duration::from_secs(2));
        }
        self.time_line.set_visible(transport.edge.is_some());
        self.following.set(false);
        mark(&self.to_live, "on", live);
        self.to_live.set_sensitive(!live);
        self.badge.set_visible(!live);
        mark(&self.badge, "behind", true);
        say(&self.badge, if paused { tr("PAUSED") } else { tr("REWOUND") });
        let (icon, text) = if paused {
            ("media-playback-start-symbolic", tr("Play"))
        } else {
            ("media-playback-pause-symbolic", tr("Pause"))
        };
        icon_and_name(&self.pause, icon, text);
        for button in [&self.pause, &self.back] {
            button.set_sensitive(transport.edge.is_some());
        }
        self.forth.set_sensitive(!live);
        self.restart.set_sensitive(transport.can_restart);
    }

    fn sound(&self, view: &View) {
        let (volume, muted) = (view.settings.volume, view.settings.muted);
        let icon = match volume {
            _ if muted => "audio-volume-muted-symbolic",
            0 => "audio-volume-muted-symbolic",
            1..=33 => "audio-volume-low-symbolic",
            34..=66 => "audio-volume-medium-symbolic",
            _ => "audio-volume-high-symbolic",
        };
        icon_and_name(&self.mute, icon, if muted { tr("Sound on") } else { tr("Mute") });
        self.following.set(true);
        self.volume.set_value(volume.into());
        self.following.set(false);
    }

    /// Whether the window fills the screen.
    pub(super) fn full_screen(&self, full: bool) {
        let (icon, text) = if full {
            ("view-restore-symbolic", tr("Leave full screen"))
        } else {
            ("view-fullscreen-symbolic", tr("Full screen"))
        };
        icon_and_name(&self.full, icon, text);
    }
}

fn icon_and_name(button: &gtk::Button, icon: &str, text: &str) {
    change_icon(button, icon);
    if button.tooltip_text().as_deref() != Some(text) {
        name(button, text);
    }
}

/// What the information panel says of a programme's time: from, to, and how long.
pub(super) fn when(programme: &crate::guide::Programme) -> String {
    span(programme.start, programme.end)
}
