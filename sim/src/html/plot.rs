//! Plots as SVG.

use std::fmt::Write as _;

use super::escape;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;
/// Told apart by all common kinds of colour vision (Okabe and Ito 2008).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// One line, or one layer of a stack.
pub(super) struct Line {
    name: String,
    points: Vec<[f64; 2]>,
}

impl Line {
    pub(super) fn new(name: &str, points: Vec<[f64; 2]>) -> Self {
        Self { name: name.into(), points }
    }
}

/// Lines over a common axis.
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) lines: Vec<Line>,
    /// Each layer stands on those before it.
    pub(super) stacked: bool,
}

/// Values with names.
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) bars: Vec<(String, f64)>,
}

/// Where values lie on the paper.
struct Scale {
    x: [f64; 2],
    most: f64,
}

impl Scale {
    fn of(lines: &[Line]) -> Self {
        let all = || lines.iter().flat_map(|line| &line.points);
        let least = all().map(|point| point[0]).fold(f64::INFINITY, f64::min);
        let last = all().map(|point| point[0]).fold(f64::NEG_INFINITY, f64::max);
        let most = all().map(|point| point[1]).fold(0.0, f64::max);
        let x = if least < last { [least.min(0.0), last] } else { [0.0, last.max(1.0)] };
        Self { x, most: if most > 0.0 { most } else { 1.0 } }
    }

    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let across = (x - self.x[0]) / (self.x[1] - self.x[0]);
        [
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y / self.most * (HEIGHT - BOTTOM - TOP),
        ]
    }
}

/// A number with three digits or so.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    }
}

impl Plot {
    pub(super) fn svg(&self) -> String {
        let stack;
        let lines = if self.stacked {
            stack = stacked(&self.lines);
            &stack
        } else {
            &self.lines
        };
        let scale = Scale::of(lines);
        let mut svg = head(&self.title);
        self.axes(&mut svg, &scale);
        for (i, line) in lines.iter().enumerate().rev() {
            let colour = COLOURS[i % COLOURS.len()];
            let mut path = String::new();
            for point in &line.points {
                let [x, y] = scale.place(*point);
                let _ = write!(path, "{x:.1},{y:.1} ");
            }
            if self.stacked {
                let [left, floor] = scale.place([scale.x[0].max(first(line)), 0.0]);
                let [right, _] = scale.place([scale.x[1], 0.0]);
                let _ = write!(
                    svg,
                    "<polygon fill=\"{colour}\" points=\"{left:.1},{floor:.1} {path}{right:.1},{floor:.1}\"/>"
                );
            } else {
                let _ = write!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{path}\"/>"
                );
            }
        }
        svg.push_str("</svg><figcaption>");
        for (i, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let name = escape(&line.name);
            let _ = write!(svg, "<span class=\"key\" style=\"background:{colour}\"></span>{name}");
        }
        svg + "</figcaption></figure>"
    }

    fn axes(&self, svg: &mut String, scale: &Scale) {
        for i in 0..=4 {
            let part = f64::from(i) / 4.0;
            let value = part * scale.most;
            let [_, y] = scale.place([scale.x[0], value]);
            let (right, label) = (WIDTH - RIGHT, short(value));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 5.0,
                y + 4.0,
            );
            let value = scale.x[0] + part * (scale.x[1] - scale.x[0]);
            let [x, _] = scale.place([value, 0.0]);
            let (below, label) = (HEIGHT - BOTTOM + 14.0, short(value));
            // The last one must not leave the paper.
            let anchor = if i == 4 { "end" } else { "middle" };
            let _ = write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"{anchor}\">{label}</text>"
            );
        }
        let (x, y) = (escape(&self.x), escape(&self.y));
        let (middle, bottom) = ((LEFT + WIDTH) / 2.0, HEIGHT - 4.0);
        let half = HEIGHT / 2.0;
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">{x}</text>\
             <text transform=\"translate(11 {half}) rotate(-90)\" text-anchor=\"middle\">{y}</text>"
        );
    }
}

fn first(line: &Line) -> f64 {
    line.points.first().map_or(0.0, |point| point[0])
}

/// Each line with all before it added.
fn stacked(lines: &[Line]) -> Vec<Line> {
    let mut floor: Vec<f64> = Vec::new();
    let mut layers = Vec::new();
    for line in lines {
        floor.resize(line.points.len(), 0.0);
        let points = line.points.iter().zip(&mut floor).map(|(point, floor)| {
            *floor += point[1];
            [point[0], *floor]
        });
        layers.push(Line::new(&line.name, points.collect()));
    }
    layers
}

impl Bars {
    pub(super) fn svg(&self) -> String {
        let most = self.bars.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(1e-9);
        let mut svg = head(&self.title);
        let step = ((HEIGHT - 2.0 * TOP) / self.bars.len().max(1) as f64).min(26.0);
        let left = 150.0;
        for (i, (name, value)) in self.bars.iter().enumerate() {
            let y = TOP + i as f64 * step;
            let width = value / most * (WIDTH - left - 50.0);
            let (name, label, colour) = (escape(name), short(*value), COLOURS[0]);
            let text = y + step * 0.65;
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{left}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{text:.1}\">{label}</text>",
                left - 6.0,
                y + step * 0.15,
                step * 0.7,
                left + width + 5.0,
            );
        }
        if self.bars.is_empty() {
            let _ = write!(svg, "<text x=\"{LEFT}\" y=\"{}\">none</text>", HEIGHT / 2.0);
        }
        svg + "</svg></figure>"
    }
}

fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<figure><h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_stand_on_each_other() {
        let lines = [
            Line::new("a", vec![[0.0, 1.0], [1.0, 2.0]]),
            Line::new("b", vec![[0.0, 3.0], [1.0, 1.0]]),
        ];
        let layers = stacked(&lines);
        assert_eq!(layers[1].points, [[0.0, 4.0], [1.0, 3.0]]);
    }

    #[test]
    fn points_lie_on_the_paper() {
        let lines = [Line::new("a", vec![[5.0, 0.0], [10.0, 7.0]])];
        let scale = Scale::of(&lines);
        assert_eq!(scale.place([10.0, 7.0]), [WIDTH - RIGHT, TOP]);
        assert_eq!(scale.place([0.0, 0.0]), [LEFT, HEIGHT - BOTTOM]);
        let nothing = Scale::of(&[]);
        assert!(nothing.place([0.0, 0.0]).iter().all(|value| value.is_finite()));
    }
}
