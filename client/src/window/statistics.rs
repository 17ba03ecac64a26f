//! The figures of what is played, and a picture of the sub-streams with who feeds each: what somebody does, in which AS and
//! country. No addresses.

use std::cell::RefCell;
use std::rc::Rc;

use gtk::cairo;
use gtk::prelude::*;
use ticket::Role;

use super::times::{bytes, rate, stretch};
use super::widgets::{column, fill, label, role, row, say, spoken};
use super::words::{put, tr, trn};
use crate::sharing::{Upload, UploadState};
use crate::stats::{Stats, Substream};
use crate::television::View;

/// Height of one sub-stream in the drawing, pixels.
const STRAND: i32 = 13;

/// The overlay.
pub(super) struct Statistics {
    pub(super) root: gtk::Revealer,
    drawing: gtk::DrawingArea,
    drawn: Rc<RefCell<Drawn>>,
    values: Vec<(Figure, gtk::Label)>,
    key: gtk::Label,
    sharing: gtk::Label,
    meter: gtk::ProgressBar,
}

/// What is drawn.
#[derive(Default)]
struct Drawn {
    n: u8,
    substreams: Vec<Substream>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    Rendition,
    Start,
    Lag,
    Edge,
    Segments,
    Stalls,
    Down,
    Up,
    Failovers,
}

impl Statistics {
    pub(super) fn new() -> Rc<Self> {
        let figures = [
            (Figure::Rendition, tr("Quality")),
            (Figure::Start, tr("Start")),
            (Figure::Lag, tr("Behind the camera")),
            (Figure::Edge, tr("Buffer")),
            (Figure::Segments, tr("Segments")),
            (Figure::Stalls, tr("Interruptions")),
            (Figure::Down, tr("Received")),
            (Figure::Up, tr("Passed on")),
            (Figure::Failovers, tr("Ways changed")),
        ];
        let grid = gtk::Grid::builder().column_spacing(14).row_spacing(3).build();
        let mut values = Vec::new();
        for (line, (figure, text)) in (0..).zip(figures) {
            let value = super::widgets::paragraph("", "value");
            value.set_hexpand(true);
            spoken(&value, text);
            let what = label(text, "label");
            what.set_valign(gtk::Align::Start);
            grid.attach(&what, 0, line, 1, 1);
            grid.attach(&value, 1, line, 1, 1);
            values.push((figure, value));
        }
        let drawn: Rc<RefCell<Drawn>> = Rc::default();
        let drawing = gtk::DrawingArea::new();
        role(&drawing, gtk::AccessibleRole::Img);
        drawing.set_content_width(330);
        let shown = drawn.clone();
        drawing.set_draw_func(move |_, context, width, height| {
            // A drawing that fails is drawn again within a second.
            let _ = draw(context, width.into(), height.into(), &shown.borrow());
        });
        let key = super::widgets::paragraph("", "label");
        let sharing = super::widgets::paragraph("", "label");
        let meter = super::widgets::progress();
        spoken(&meter, tr("Upload"));
        let panel = column(10);
        panel.add_css_class("panel");
        role(&panel, gtk::AccessibleRole::Region);
        spoken(&panel, tr("Statistics"));
        let heading = row(8);
        let title = label(tr("Statistics"), "title");
        title.set_hexpand(true);
        let close = super::widgets::icon_button(
            "window-close-symbolic",
            tr("Close statistics"),
            "win.statistics",
        );
        close.add_css_class("flat-on-dark");
        fill(&heading, &[title.upcast_ref(), close.upcast_ref()]);
        let body = column(10);
        fill(
            &body,
            &[
                grid.upcast_ref(),
                label(tr("Who feeds you"), "title").upcast_ref(),
                drawing.upcast_ref(),
                key.upcast_ref(),
                sharing.upcast_ref(),
                meter.upcast_ref(),
            ],
        );
        let scroll = gtk::ScrolledWindow::builder()
            .hscrollbar_policy(gtk::PolicyType::Never)
            .propagate_natural_height(true)
            .vexpand(true)
            .child(&body)
            .build();
        fill(&panel, &[heading.upcast_ref(), scroll.upcast_ref()]);
        let root = gtk::Revealer::builder()
            .transition_type(gtk::RevealerTransitionType::Crossfade)
            .halign(gtk::Align::End)
            .valign(gtk::Align::Fill)
            .margin_top(16)
            .margin_end(16)
            .margin_bottom(128)
            .child(&panel)
            .visible(false)
            .build();
        panel.set_valign(gtk::Align::Start);
        Rc::new(Self { root, drawing, drawn, values, key, sharing, meter })
    }

    pub(super) fn is_shown(&self) -> bool {
        self.root.reveals_child()
    }

    pub(super) fn toggle(&self) {
        let shown = !self.is_shown();
        self.root.set_visible(shown);
        self.root.set_reveal_child(shown);
    }

    /// Takes over new figures.
    pub(super) fn show(&self, stats: &Stats, view: &View) {
        for (figure, value) in &self.values {
            say(value, &text(*figure, stats));
        }
        let summary = summary(&stats.substreams);
        say(&self.key, &summary);
        spoken(&self.drawing, &summary);
        self.drawing.set_content_height(i32::from(stats.n.max(4)) * STRAND + 8);
        self.drawn.replace(Drawn { n: stats.n, substreams: stats.substreams.clone() });
        self.drawing.queue_draw();
        say(&self.sharing, &upload(&view.upload));
        self.meter.set_visible(view.upload.state == UploadState::On);
        let share = view.upload.now_bits as f64 / view.upload.limit_bits.max(1) as f64;
        self.meter.set_fraction(share.min(1.0));
    }
}

/// What the upload is, for people.
pub(super) fn upload(upload: &Upload) -> String {
    let month = put(tr("{amount} this month"), "amount", bytes(upload.month_bytes));
    match upload.state {
        UploadState::On => {
            let now =
                put(tr("Helping with {rate} of at most {limit}"), "rate", rate(upload.now_bits));
            format!("{}, {month}", put(&now, "limit", rate(upload.limit_bits)))
        }
        UploadState::Metered => tr("Not helping: this connection is paid by volume").to_owned(),
        UploadState::MonthlyLimit => {
            format!("{}: {month}", tr("Not helping: the month's limit is reached"))
        }
        UploadState::NotAsked | UploadState::Off => tr("Not helping other viewers").to_owned(),
    }
}

/// The same in a few words.
pub(super) fn upload_in_brief(upload: &Upload) -> String {
    match upload.state {
        UploadState::On => put(tr("Helping others with {rate}"), "rate", rate(upload.now_bits)),
        _ => self::upload(upload),
    }
}

fn text(figure: Figure, stats: &Stats) -> String {
    let seconds =
        |millis: u64| put(tr("{seconds} s"), "seconds", format!("{:.1}", millis as f64 / 1e3));
    match figure {
        Figure::Rendition if stats.rendition.is_empty() => "–".to_owned(),
        Figure::Rendition => {
            let text = put(tr("{name}, any {k} of {n}"), "name", &stats.rendition);
            put(&put(&text, "k", stats.k), "n", stats.n)
        }
        Figure::Start if stats.startup_ms == 0 => "–".to_owned(),
        Figure::Start => put(tr("{millis} ms"), "millis", stats.startup_ms),
        Figure::Lag => seconds(stats.lag_ms),
        Figure::Edge => seconds(stats.behind_edge_ms),
        Figure::Segments => {
            let text = put(
                tr("{played}, {lost} lost, {rebuilt} rebuilt"),
                "played",
                stats.segments.played,
            );
            put(&put(&text, "lost", stats.segments.lost), "rebuilt", stats.segments.rebuilt)
        }
        Figure::Stalls if stats.stalls == 0 => tr("none").to_owned(),
        Figure::Stalls => {
            let causes: Vec<_> = stats
                .stall_causes
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(name, _)| cause(name))
                .collect();
            let time = stretch(std::time::Duration::from_millis(stats.stall_ms));
            format!("{} ({time}): {}", stats.stalls, causes.join(", "))
        }
        Figure::Down => {
            let from = &stats.bytes_in;
            let all = from.headend + from.repeater + from.viewer;
            let share = 100 * from.viewer / all.max(1);
            format!("{}, {}", bytes(all), put(tr("{percent} % from viewers"), "percent", share))
        }
        Figure::Up => {
            let to = put(
                trn("{n} sub-stream", "{n} sub-streams", stats.pushed.into()),
                "n",
                stats.pushed,
            );
            format!("{}, {to}", bytes(stats.bytes_out))
        }
        Figure::Failovers => stats.failovers.to_string(),
    }
}

fn cause(name: &str) -> &'static str {
    match name {
        "parent_left" => tr("somebody left"),
        "uplink_full" => tr("others had no room"),
        "nat" => tr("others cannot be reached"),
        "source_gap" => tr("gap in the source"),
        "downlink" => tr("your connection"),
        _ => tr("cannot be decoded"),
    }
}

fn part(role: Role) -> &'static str {
    match role {
        Role::Headend => tr("Broadcaster"),
        Role::Repeater => tr("Repeater"),
        Role::Viewer => tr("Viewer"),
        _ => tr("Other"),
    }
}

fn colour(role: Role) -> (f64, f64, f64) {
    match role {
        Role::Headend => (1.0, 0.72, 0.30),
        Role::Repeater => (0.48, 0.64, 1.0),
        _ => (0.33, 0.87, 0.62),
    }
}

/// Where somebody is: `AS64501 CH`.
fn place(substream: &Substream) -> String {
    let asn = substream.asn.map(|asn| format!("AS{asn}"));
    let country = substream.country.map(|country| country.to_string());
    [asn, country].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Those who feed, in order of their first sub-stream, with their sub-streams.
fn parents(substreams: &[Substream]) -> Vec<(&Substream, Vec<u8>)> {
    let mut parents: Vec<(&Substream, Vec<u8>)> = Vec::new();
    let mut sorted: Vec<_> = substreams.iter().collect();
    sorted.sort_by_key(|substream| substream.index);
    for substream in sorted {
        match parents.iter_mut().find(|(known, _)| known.parent == substream.parent) {
            Some((_, indices)) => indices.push(substream.index),
            None => parents.push((substream, vec![substream.index])),
        }
    }
    parents
}

fn summary(substreams: &[Substream]) -> String {
    let parents = parents(substreams);
    if parents.is_empty() {
        return tr("Nobody yet").to_owned();
    }
    let each = parents.iter().map(|(parent, indices)| {
        let count = indices.len();
        let of = put(trn("{n} sub-stream", "{n} sub-streams", count as u64), "n", count);
        let place = place(parent);
        let gap = if place.is_empty() { "" } else { " " };
        format!("{}{gap}{place}: {of}", part(parent.role))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Strands from those who feed, on the left, to the sub-streams on the right, which together are the picture.
fn draw(
    context: &cairo::Context,
    width: f64,
    height: f64,
    drawn: &Drawn,
) -> Result<(), cairo::Error> {
    let n = f64::from(drawn.n.max(1));
    let parents = parents(&drawn.substreams);
    let step = (height - 8.0) / n;
    let strand = |index: u8| 4.0 + step * (f64::from(index) + 0.5);
    let (left, right) = (142.0, width - 30.0);
    context.select_font_face("Sans", cairo::FontSlant::Normal, cairo::FontWeight::Normal);
    context.set_font_size(10.5);
    for index in 0..drawn.n {
        context.set_source_rgba(1.0, 1.0, 1.0, 0.16);
        context.arc(right + 6.0, strand(index), 2.5, 0.0, std::f64::consts::TAU);
        context.fill()?;
        context.set_source_rgba(1.0, 1.0, 1.0, 0.45);
        context.move_to(right + 14.0, strand(index) + 3.5);
        context.show_text(&index.to_string())?;
    }
    let room = height / parents.len().max(1) as f64;
    for (place_of, (parent, indices)) in parents.iter().enumerate() {
        let middle = room * (place_of as f64 + 0.5);
        let (red, green, blue) = colour(parent.role);
        for (turn, index) in indices.iter().enumerate() {
            let from = middle + (turn as f64 - (indices.len() as f64 - 1.0) / 2.0) * 1.6;
            let to = strand(*index);
            context.set_source_rgba(red, green, blue, 0.85);
            context.set_line_width(1.7);
            context.move_to(left, from);
            context.curve_to(left + 70.0, from, right - 70.0, to, right, to);
            context.stroke()?;
            context.arc(right + 6.0, to, 3.2, 0.0, std::f64::consts::TAU);
            context.fill()?;
        }
        context.set_source_rgba(red, green, blue, 1.0);
        context.arc(left - 6.0, middle, 4.5, 0.0, std::f64::consts::TAU);
        context.fill()?;
        context.set_source_rgba(1.0, 1.0, 1.0, 0.92);
        let lines = [part(parent.role).to_owned(), place(parent)];
        let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty()).collect();
        let two = room > 26.0 && lines.len() > 1;
        let text = if two {
            lines[0].clone()
        } else {
            lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join(" ")
        };
        right_aligned(context, &text, left - 16.0, if two { middle - 2.0 } else { middle + 3.5 })?;
        if two {
            context.set_source_rgba(1.0, 1.0, 1.0, 0.6);
            right_aligned(context, lines[1], left - 16.0, middle + 10.5)?;
        }
    }
    Ok(())
}

fn right_aligned(
    context: &cairo::Context,
    text: &str,
    right: f64,
    y: f64,
) -> Result<(), cairo::Error> {
    let extents = context.text_extents(text)?;
    context.move_to((right - extents.x_advance()).max(0.0), y);
    context.show_text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_feeds_is_told_without_an_address() {
        let substream = |index, parent: &str, role, asn| Substream {
            index,
            parent: parent.into(),
            role,
            subset: None,
            asn,
            country: "CH".parse().ok(),
        };
        let all = [
            substream(2, "b", Role::Viewer, None),
            substream(0, "a", Role::Repeater, Some(64501)),
            substream(1, "a", Role::Repeater, Some(64501)),
        ];
        assert_eq!(summary(&all), "Repeater AS64501 CH: 2 sub-streams; Viewer CH: 1 sub-stream");
        assert_eq!(summary(&[]), "Nobody yet");
    }
}
