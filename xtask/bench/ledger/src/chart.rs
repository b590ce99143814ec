//! A line chart as SVG, in integers.

use std::fmt::{Display, Write};

/// A chart.
pub struct Chart {
    /// What it shows.
    pub title: &'static str,
    /// From left to right.
    pub across: Axis,
    /// From bottom to top.
    pub up: Axis,
    /// Between which heights everything is well, and what that means.
    pub wanted: Option<(i64, i64, &'static str)>,
    /// In the order of the legend.
    pub lines: Vec<Line>,
}

/// An axis.
pub struct Axis {
    /// What it measures, and in which unit.
    pub label: &'static str,
    /// Where it begins.
    pub low: i64,
    /// Where it ends.
    pub high: i64,
    /// Where a number stands.
    pub ticks: Vec<(i64, String)>,
}

impl Axis {
    /// An axis with a number at each multiple of a step, in units of which so many are one on the axis.
    pub fn even(label: &'static str, high: i64, step: i64, unit: i64) -> Self {
        let ticks = (0..=high / step).map(|number| (number * step, (number * step / unit).to_string()));
        Self {
            label,
            low: 0,
            high,
            ticks: ticks.collect(),
        }
    }
}

/// A line.
pub struct Line {
    /// What the legend says.
    pub name: String,
    /// As CSS has it.
    pub color: &'static str,
    /// Whether it is dashed.
    pub is_dashed: bool,
    /// Across and up. What lies outside of the axes is drawn at their ends.
    pub points: Vec<(i64, i64)>,
}

const WIDTH: i64 = 860;
const HEIGHT: i64 = 460;
const LEFT: i64 = 80;
const RIGHT: i64 = 600;
const TOP: i64 = 50;
const BOTTOM: i64 = 400;

/// A length of an SVG in hundredths.
struct Hundredths(i64);

impl Display for Hundredths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Chart {
    /// The text of the SVG.
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        self.write(&mut svg).expect("a string takes every write");
        svg
    }

    fn across(&self, value: i64) -> Hundredths {
        Hundredths(place(&self.across, value, LEFT, RIGHT))
    }

    fn up(&self, value: i64) -> Hundredths {
        Hundredths(place(&self.up, value, BOTTOM, TOP))
    }

    fn write(&self, svg: &mut String) -> std::fmt::Result {
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">"
        )?;
        writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>")?;
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"28\" font-size=\"16\">{}</text>",
            self.title
        )?;
        if let Some((low, high, _)) = self.wanted {
            let (top, bottom) = (self.up(high), self.up(low));
            let height = Hundredths(bottom.0 - top.0);
            writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{height}\" fill=\"#cfe8cf\"/>",
                RIGHT - LEFT
            )?;
        }
        for (value, text) in &self.across.ticks {
            let x = self.across(*value);
            writeln!(svg, "<path d=\"M{x} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>")?;
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                BOTTOM + 18
            )?;
        }
        for (value, text) in &self.up.ticks {
            let y = self.up(*value);
            writeln!(svg, "<path d=\"M{LEFT} {y}H{RIGHT}\" stroke=\"#ddd\"/>")?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\" dy=\"4\" text-anchor=\"end\">{text}</text>",
                LEFT - 8
            )?;
        }
        writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333\"/>"
        )?;
        let (middle_x, middle_y) = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2);
        writeln!(
            svg,
            "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 42,
            self.across.label
        )?;
        writeln!(
            svg,
            "<text transform=\"translate(22 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.up.label
        )?;
        for (number, line) in (0..).zip(&self.lines) {
            let stroke = stroke(line);
            write!(svg, "<polyline fill=\"none\" {stroke} points=\"")?;
            for (across, up) in &line.points {
                write!(svg, "{},{} ", self.across(*across), self.up(*up))?;
            }
            writeln!(svg, "\"/>")?;
            legend(
                svg,
                number,
                &line.name,
                &format!("<path d=\"M0 0H26\" {stroke}/>"),
            )?;
        }
        if let Some((.., name)) = self.wanted {
            let swatch = "<rect y=\"-6\" width=\"26\" height=\"12\" fill=\"#cfe8cf\"/>";
            legend(svg, self.lines.len() as i64, name, swatch)?;
        }
        writeln!(svg, "</svg>")
    }
}

fn stroke(line: &Line) -> String {
    let dash = if line.is_dashed {
        " stroke-dasharray=\"7 7\""
    } else {
        ""
    };
    format!("stroke=\"{}\" stroke-width=\"2\"{dash}", line.color)
}

fn legend(svg: &mut String, number: i64, name: &str, swatch: &str) -> std::fmt::Result {
    let (x, y) = (RIGHT + 16, TOP + 14 + 24 * number);
    writeln!(
        svg,
        "<g transform=\"translate({x} {y})\">{swatch}<text x=\"34\" y=\"4\">{name}</text></g>"
    )
}

/// Where a value stands between two ends, in hundredths.
fn place(axis: &Axis, value: i64, from: i64, to: i64) -> i64 {
    let inside = i128::from(value.clamp(axis.low, axis.high) - axis.low);
    let whole = i128::from(axis.high - axis.low);
    let moved = i128::from(100 * (to - from)) * inside / whole;
    100 * from + i64::try_from(moved).expect("a length of a plot")
}
