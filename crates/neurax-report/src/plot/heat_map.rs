//! Heat maps: a matrix of cells whose opacity is the share of the largest number of the row.

use crate::text::{escape, number, push, start_of};
use crate::theme::{INK, MUTED, ON_COLOR, RAISED, SERIES};

/// The width of a whole heat map that is not larger because of its texts, in pixels.
const MAP_WIDTH: f64 = 400.0;
/// The space for the names of rows and columns.
const NAME_SPACE: f64 = 74.0;
/// The smallest and the largest cell.
const CELL_SIZES: [f64; 2] = [8.0, 56.0];
/// The smallest cell whose number is shown.
const LABELLED_CELL: f64 = 22.0;
/// The most letters of a name.
const NAME_LETTERS: usize = 9;

/// Returns the size and the elements of a heat map.
pub(super) fn content(
    row_label: &str,
    column_label: &str,
    rows: &[String],
    columns: &[String],
    values: &[Vec<f64>],
) -> ((u32, u32), String) {
    let cell = (MAP_WIDTH / columns.len().max(rows.len()).max(1) as f64)
        .clamp(CELL_SIZES[0], CELL_SIZES[1])
        .floor();
    let map = Cells { cell, left: NAME_SPACE + 18.0, top: 46.0 };
    let (across, down) = (cell * columns.len() as f64, cell * rows.len() as f64);
    let mut svg = String::new();
    // Names that would overlap are left out.
    let stride = (16.0 / cell).ceil().max(1.0) as usize;
    for (i, name) in columns.iter().enumerate().step_by(stride) {
        let x = map.left + cell * (i as f64 + 0.5);
        let letters = ((cell * stride as f64 - 4.0) / 7.0).max(1.0) as usize;
        label(&mut svg, (x, map.top - 7.0), "middle", &start_of(name, letters), name);
    }
    for (i, name) in rows.iter().enumerate().step_by(stride) {
        let y = map.top + cell * (i as f64 + 0.5) + 4.0;
        label(&mut svg, (map.left - 8.0, y), "end", &start_of(name, NAME_LETTERS), name);
    }
    label(&mut svg, (map.left + across / 2.0, 16.0), "middle", column_label, column_label);
    let middle = map.top + down / 2.0;
    push(
        &mut svg,
        format_args!(
            "<text transform=\"translate(16 {middle:.0}) rotate(-90)\" text-anchor=\"middle\" \
             font-size=\"12\" fill=\"{}\">{}</text>",
            MUTED.light,
            escape(row_label)
        ),
    );
    for (i, row) in values.iter().enumerate() {
        let largest = row.iter().copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
        for (j, x) in row.iter().enumerate() {
            // A number that is not finite has the color of 0, and its text.
            let has_share = largest > 0.0 && x.is_finite();
            let share = if has_share { (x / largest).clamp(0.0, 1.0) } else { 0.0 };
            let names = [(row_label, rows.get(i)), (column_label, columns.get(j))];
            map.push(&mut svg, (i, j), *x, share, names);
        }
    }
    let size = (map.left + across + 14.0, map.top + down + 14.0);
    ((size.0.max(160.0).ceil() as u32, size.1.ceil() as u32), svg)
}

/// The positions of the cells.
struct Cells {
    cell: f64,
    left: f64,
    top: f64,
}

impl Cells {
    /// Appends a cell with its number and a description of both.
    fn push(
        &self,
        to: &mut String,
        (i, j): (usize, usize),
        x: f64,
        share: f64,
        names: [(&str, Option<&String>); 2],
    ) {
        let (left, top) = (self.left + self.cell * j as f64, self.top + self.cell * i as f64);
        let (size, ground, color) = (self.cell - 2.0, RAISED.light, SERIES[0].light);
        let about: Vec<String> = names
            .iter()
            .map(|(label, name)| format!("{label} {}", name.map_or("", String::as_str)))
            .collect();
        let about = escape(&format!("{}: {}", about.join(", "), number(x)));
        push(
            to,
            format_args!(
                "<g><title>{about}</title><rect x=\"{left:.0}\" y=\"{top:.0}\" width=\"{size}\" \
                 height=\"{size}\" rx=\"3\" fill=\"{ground}\"/><rect x=\"{left:.0}\" \
                 y=\"{top:.0}\" width=\"{size}\" height=\"{size}\" rx=\"3\" fill=\"{color}\" \
                 fill-opacity=\"{share:.3}\"/>"
            ),
        );
        if self.cell >= LABELLED_CELL && x != 0.0 {
            let ink = if share > 0.55 { ON_COLOR.light } else { INK.light };
            let (x_middle, y_middle) = (left + size / 2.0, top + size / 2.0 + 4.0);
            push(
                to,
                format_args!(
                    "<text x=\"{x_middle:.1}\" y=\"{y_middle:.1}\" text-anchor=\"middle\" \
                     font-size=\"12\" fill=\"{ink}\">{}</text>",
                    number(x)
                ),
            );
        }
        to.push_str("</g>");
    }
}

fn label(to: &mut String, (x, y): (f64, f64), anchor: &str, shown: &str, whole: &str) {
    let (shown, whole, ink) = (escape(shown), escape(whole), MUTED.light);
    push(
        to,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"12\" \
             fill=\"{ink}\"><title>{whole}</title>{shown}</text>"
        ),
    );
}
