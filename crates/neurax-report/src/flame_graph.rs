//! Flame graphs: the time of a program as boxes inside of boxes, whose widths are times.
//!
//! The input are folded stacks, lines `outer;inner;innermost N` with a number of nanoseconds, as
//! [`Profile::to_folded`](neurax_tensor::Profile::to_folded) returns them. Each frame is a box
//! below the frame around it (Gregg, "The Flame Graph", Communications of the ACM 59, 2016; drawn
//! from the top, which is called an icicle graph).
//!
//! Example: `dense;main.rs:7;dot_general 3000` and `dense;main.rs:7;add 1000` are a box `dense`
//! over the whole width, one for the line below it, and below that two boxes of three quarters and
//! one quarter.

use crate::plot::document;
use crate::text::{LETTER_WIDTH, end_of, escape, nanoseconds, push, start_of};
use crate::theme::{INK, MUTED, SERIES, SURFACE};
use neurax_tensor::{Error, Result};
use std::collections::BTreeMap;

/// The width of a flame graph and the height of a row, in pixels.
const FLAME_WIDTH: f64 = 1000.0;
const FLAME_ROW: f64 = 22.0;
/// The space above the boxes, for the title.
const FLAME_TOP: f64 = 30.0;
/// The narrowest box that is drawn.
const NARROWEST_BOX: f64 = 0.4;
/// The most frames of a stack: more than layers inside of layers have, and few enough for a page.
const MAX_FRAMES: usize = 200;

/// A frame: the time in it, and the frames inside of it.
#[derive(Debug, Default)]
struct FlameFrame {
    nanos: u64,
    inside: BTreeMap<String, FlameFrame>,
}

/// Returns the flame graph of folded stacks as an SVG document; a box shows its name, its time and
/// its share of the whole as a tooltip.
///
/// ```
/// use neurax::prelude::*;
/// let f = jit(|x: Tensor| x.matmul(&x).tanh().sum(..));
/// let profile = f.profile(&Tensor::ones([64, 64]))?;
/// let svg = neurax_report::flame_graph("a product", &profile.to_folded())?;
/// assert!(svg.contains("<title>dot_general: "));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If a line has no number at its end, or more than 200 frames.
pub fn flame_graph(title: &str, folded: &str) -> Result<String> {
    let mut root = FlameFrame::default();
    for (i, line) in folded.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (stack, nanos) = parsed(line).ok_or_else(|| {
            let why = format!("expected `frame;frame N` with a number N, got `{line}` in line");
            Error::new("flame_graph", format!("{why} {}", i + 1))
        })?;
        let frames = stack.split(';').count();
        if frames > MAX_FRAMES {
            let why =
                format!("expected at most {MAX_FRAMES} frames, got {frames} in line {}", i + 1);
            return Err(Error::new("flame_graph", why));
        }
        root.add(stack.split(';'), nanos);
    }
    let (rows, mut svg) = (root.depth(), String::new());
    let total = root.nanos;
    let heading = format!("{title}: {}", nanoseconds(total));
    push(
        &mut svg,
        format_args!(
            "<text x=\"8\" y=\"20\" font-size=\"14\" font-weight=\"600\" fill=\"{}\">{}</text>",
            INK.light,
            escape(&heading)
        ),
    );
    let scale = FLAME_WIDTH / total.max(1) as f64;
    let mut left = 0.0;
    for (color, (name, frame)) in root.inside.iter().enumerate() {
        let color = SERIES[color % SERIES.len()].light;
        frame.draw(&mut svg, name, Spot { left, row: 0, scale, total, color });
        left += frame.nanos as f64 * scale;
    }
    if root.inside.is_empty() {
        let (x, y) = (8.0, FLAME_TOP + 15.0);
        let fill = MUTED.light;
        push(&mut svg, format_args!("<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\">no time</text>"));
    }
    let height = FLAME_TOP + FLAME_ROW * rows.max(1) as f64 + 8.0;
    Ok(document((FLAME_WIDTH as u32, height.ceil() as u32), &heading, &svg))
}

/// The place of a box, and what all boxes share.
#[derive(Clone, Copy)]
struct Spot {
    left: f64,
    row: usize,
    /// Pixels for each nanosecond.
    scale: f64,
    total: u64,
    color: &'static str,
}

impl FlameFrame {
    /// Adds the time of a stack to the frames along it.
    fn add<'s>(&mut self, mut stack: impl Iterator<Item = &'s str>, nanos: u64) {
        self.nanos = self.nanos.saturating_add(nanos);
        if let Some(name) = stack.next() {
            self.inside.entry(name.to_string()).or_default().add(stack, nanos);
        }
    }

    /// Returns the number of rows of boxes inside of this one.
    fn depth(&self) -> usize {
        self.inside.values().map(|frame| 1 + frame.depth()).max().unwrap_or(0)
    }

    /// Appends the box of this frame, and below it those of the frames inside of it.
    fn draw(&self, svg: &mut String, name: &str, at: Spot) {
        let width = self.nanos as f64 * at.scale;
        if width < NARROWEST_BOX {
            return;
        }
        let (top, share) = (FLAME_TOP + FLAME_ROW * at.row as f64, self.share(at.total));
        let about = escape(&format!("{name}: {}, {share:.1} %", nanoseconds(self.nanos)));
        // Rows alternate, so that boxes of one color can be told apart.
        let opacity = if at.row.is_multiple_of(2) { 0.34 } else { 0.22 };
        let (left, color, edge, height) = (at.left, at.color, SURFACE.light, FLAME_ROW - 1.0);
        push(
            svg,
            format_args!(
                "<g><title>{about}</title><rect x=\"{left:.2}\" y=\"{top:.0}\" \
                 width=\"{width:.2}\" height=\"{height}\" rx=\"2\" fill=\"{color}\" \
                 fill-opacity=\"{opacity}\" stroke=\"{edge}\"/>"
            ),
        );
        let letters = ((width - 8.0) / LETTER_WIDTH).max(0.0) as usize;
        if letters >= 3 {
            let (x, y, ink) = (left + 4.0, top + 15.0, INK.light);
            let name = escape(&self.label(name, letters));
            push(
                svg,
                format_args!(
                    "<text x=\"{x:.2}\" y=\"{y:.0}\" font-size=\"11\" fill=\"{ink}\">{name}</text>"
                ),
            );
        }
        svg.push_str("</g>");
        let mut left = at.left;
        for (name, frame) in &self.inside {
            frame.draw(svg, name, Spot { left, row: at.row + 1, ..at });
            left += frame.nanos as f64 * at.scale;
        }
    }

    /// Returns a name of at most `letters`: the start of that of an op, and the end of that of a
    /// layer or a line, which tells more.
    fn label(&self, name: &str, letters: usize) -> String {
        if self.inside.is_empty() { start_of(name, letters) } else { end_of(name, letters) }
    }

    /// Returns the percentage of `total`.
    fn share(&self, total: u64) -> f64 {
        100.0 * self.nanos as f64 / total.max(1) as f64
    }
}

/// Returns the frames and the number of a line.
fn parsed(line: &str) -> Option<(&str, u64)> {
    let (stack, nanos) = line.trim_end().rsplit_once(' ')?;
    Some((stack, nanos.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_shares_of_the_time() {
        let folded =
            "dense;main.rs:7;dot 3000\ndense;main.rs:7;add 1000\nnorm;main.rs:9;sum 4000\n";
        let svg = flame_graph("step", folded).unwrap();
        assert!(svg.contains("step: 8.0 µs"), "{svg}");
        for (name, left, width) in
            [("dense", "0.00", "500.00"), ("dot", "125.00", "375.00"), ("add", "0.00", "125.00")]
        {
            let at = svg.find(&format!("<title>{name}: ")).unwrap();
            let want = format!("x=\"{left}\" y=");
            let box_of = &svg[at..at + 160];
            assert!(box_of.contains(&want) && box_of.contains(&format!("width=\"{width}\"")));
        }
        assert!(svg.contains("<title>dot: 3.0 µs, 37.5 %</title>"));
        // A box of 62 pixels has 8 letters: the end of a line, and the start of an op.
        let svg = flame_graph("step", "a;src/main.rs:7;multiplication 1\nb;c;add 15\n").unwrap();
        assert!(svg.contains(">…in.rs:7<") && svg.contains(">multipl…<"), "{svg}");
    }

    #[test]
    fn odd_stacks_are_errors_or_drawn() {
        let e = flame_graph("step", "a;b 1\nwithout a number").unwrap_err().to_string();
        assert!(e.contains("got `without a number` in line 2"), "{e}");
        assert!(flame_graph("step", "").unwrap().contains("no time"));
        let evil = flame_graph("<script>", "<b>;c 5").unwrap();
        assert!(!evil.contains("<script") && !evil.contains("<b>"));
        let deep = format!("{}b 5", "a;".repeat(1_000_000));
        let e = flame_graph("step", &deep).unwrap_err().to_string();
        assert!(e.contains("at most 200 frames, got 1000001 in line 1"), "{e}");
    }
}
