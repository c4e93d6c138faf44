//! The layers of a model as boxes and arrows.
//!
//! The method is that of Sugiyama with two of its steps: a layer is in the row below the lowest one
//! of its inputs, and in each row the layers are in the order of the mean position of their inputs.
//! Arrows that pass a row go straight between the boxes that they connect, behind the others.

use crate::plot::document;
use crate::text::{count, end_of, escape, push};
use crate::theme::{GRID, INK, MUTED, RAISED, SERIES, with_variables};
use crate::tuning::MAX_DRAWN_LAYERS;
use neurax_train::LayerRecord;
use std::collections::BTreeMap;

/// The sizes of a box and the distances between boxes, in pixels.
const BOX_WIDTH: f64 = 190.0;
const BOX_HEIGHT: f64 = 46.0;
const BOX_GAP: f64 = 24.0;
const ROW_GAP: f64 = 30.0;
const GRAPH_MARGIN: f64 = 12.0;
/// The most letters of a line of text in a box.
const BOX_LETTERS: usize = 26;

/// Returns the layers of a model as an SVG document on a light background: a box for each layer
/// with its path, kind, output type and number of parameters. A long model is cut off behind 150
/// layers.
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 3]).dense(4).relu().model();
/// let svg = neurax_report::layers_svg(&train::LayerRecord::of(&model));
/// assert!(svg.starts_with("<svg") && svg.contains(">dense</text>"));
/// ```
pub fn layers_svg(layers: &[LayerRecord]) -> String {
    let shown = layers.get(..MAX_DRAWN_LAYERS).unwrap_or(layers);
    let rows = rows(shown);
    let widest = rows.iter().map(Vec::len).max().unwrap_or(0) as f64;
    let width = 2.0 * GRAPH_MARGIN + widest * (BOX_WIDTH + BOX_GAP) - BOX_GAP.min(widest * BOX_GAP);
    let height = 2.0 * GRAPH_MARGIN + rows.len() as f64 * (BOX_HEIGHT + ROW_GAP)
        - ROW_GAP.min(rows.len() as f64 * ROW_GAP);
    let centers = centers(shown, &rows, width);
    let mut svg = String::new();
    for layer in shown {
        let Some(to) = centers.get(layer.path.as_str()) else { continue };
        for from in layer.inputs.iter().filter_map(|path| centers.get(path.as_str())) {
            arrow(&mut svg, *from, *to);
        }
    }
    for layer in shown {
        if let Some(center) = centers.get(layer.path.as_str()) {
            layer_box(&mut svg, layer, *center);
        }
    }
    let more = layers.len() - shown.len();
    let cut = if more > 0 { format!(", and {more} more") } else { String::new() };
    let description = format!("The model: {} layers{cut}", shown.len());
    document((width.ceil() as u32, height.ceil() as u32), &description, &svg)
}

/// Returns the same picture with the colors of a page.
pub(crate) fn themed_layers_svg(layers: &[LayerRecord]) -> String {
    with_variables(&layers_svg(layers))
}

/// Returns the indices of the layers in each row.
fn rows(layers: &[LayerRecord]) -> Vec<Vec<usize>> {
    let (mut depths, mut rows) = (BTreeMap::<&str, usize>::new(), Vec::<Vec<usize>>::new());
    for (i, layer) in layers.iter().enumerate() {
        // Inputs come before the layers that read them; others, of a damaged file, are ignored.
        let inputs = layer.inputs.iter().filter_map(|path| depths.get(path.as_str()));
        let depth = inputs.max().map_or(0, |deepest| deepest + 1);
        depths.insert(&layer.path, depth);
        if rows.len() <= depth {
            rows.resize(depth + 1, vec![]);
        }
        if let Some(row) = rows.get_mut(depth) {
            row.push(i);
        }
    }
    rows
}

/// Returns the centers of the boxes by path.
fn centers<'l>(
    layers: &'l [LayerRecord],
    rows: &[Vec<usize>],
    width: f64,
) -> BTreeMap<&'l str, [f64; 2]> {
    let mut centers = BTreeMap::<&str, [f64; 2]>::new();
    for (depth, row) in rows.iter().enumerate() {
        let mut row: Vec<&LayerRecord> = row.iter().filter_map(|i| layers.get(*i)).collect();
        let position = |layer: &LayerRecord| {
            let inputs = layer.inputs.iter().filter_map(|path| centers.get(path.as_str()));
            let (sum, n) = inputs.fold((0.0, 0.0), |(sum, n), [x, _]| (sum + x, n + 1.0));
            if n == 0.0 { width / 2.0 } else { sum / n }
        };
        row.sort_by(|a, b| position(a).total_cmp(&position(b)));
        let taken = row.len() as f64 * (BOX_WIDTH + BOX_GAP) - BOX_GAP;
        let y = GRAPH_MARGIN + depth as f64 * (BOX_HEIGHT + ROW_GAP) + BOX_HEIGHT / 2.0;
        for (i, layer) in row.into_iter().enumerate() {
            let left = (width - taken) / 2.0 + i as f64 * (BOX_WIDTH + BOX_GAP);
            centers.insert(&layer.path, [left + BOX_WIDTH / 2.0, y]);
        }
    }
    centers
}

fn arrow(to_svg: &mut String, [x0, y0]: [f64; 2], [x1, y1]: [f64; 2]) {
    let (start, end, color) = (y0 + BOX_HEIGHT / 2.0, y1 - BOX_HEIGHT / 2.0, MUTED.light);
    let bend = (end - start) / 2.0;
    push(
        to_svg,
        format_args!(
            "<path d=\"M{x0:.1} {start:.1}C{x0:.1} {:.1} {x1:.1} {:.1} {x1:.1} {:.1}\" \
             fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\
             <path d=\"M{:.1} {:.1}L{x1:.1} {end:.1}L{:.1} {:.1}\" fill=\"none\" \
             stroke=\"{color}\" stroke-width=\"1.5\"/>",
            start + bend,
            end - bend,
            end - 1.0,
            x1 - 4.0,
            end - 6.0,
            x1 + 4.0,
            end - 6.0,
        ),
    );
}

fn layer_box(svg: &mut String, layer: &LayerRecord, [x, y]: [f64; 2]) {
    let is_input = layer.kind == "input";
    let (left, top) = (x - BOX_WIDTH / 2.0, y - BOX_HEIGHT / 2.0);
    let corner = if is_input { BOX_HEIGHT / 2.0 } else { 8.0 };
    let border = if layer.parameters > 0 { SERIES[0].light } else { GRID.light };
    let parameters = match layer.parameters {
        0 => String::new(),
        n => format!(" · {}", count(n as u64)),
    };
    let about = escape(&format!("{}: {} {}{parameters}", layer.path, layer.kind, layer.output));
    // The end of a long path tells layers apart.
    let [name, output] = [layer.path.clone(), format!("{}{parameters}", layer.output)]
        .map(|text| end_of(&text, BOX_LETTERS));
    let (ground, ink, muted) = (RAISED.light, INK.light, MUTED.light);
    push(
        svg,
        format_args!(
            "<g><title>{about}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{BOX_WIDTH}\" \
             height=\"{BOX_HEIGHT}\" rx=\"{corner}\" fill=\"{ground}\" stroke=\"{border}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"13\" \
             font-weight=\"600\" fill=\"{ink}\">{}</text>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" \
             fill=\"{muted}\">{}</text></g>",
            y - 4.0,
            escape(&name),
            y + 13.0,
            escape(&output),
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(path: &str, inputs: &[&str]) -> LayerRecord {
        let inputs = inputs.iter().map(|path| path.to_string()).collect();
        LayerRecord { path: path.into(), kind: "dense".into(), inputs, ..LayerRecord::default() }
    }

    #[test]
    fn a_layer_is_below_its_inputs() {
        let layers =
            [layer("x", &[]), layer("a", &["x"]), layer("b", &["a"]), layer("c", &["x", "b"])];
        assert_eq!(rows(&layers), [[0], [1], [2], [3]]);
        let wide = [layer("x", &[]), layer("a", &["x"]), layer("b", &["x"]), layer("c", &["x"])];
        let rows = rows(&wide);
        assert_eq!(rows, [vec![0], vec![1, 2, 3]]);
        let centers = centers(&wide, &rows, 700.0);
        assert!(centers["a"][0] + BOX_WIDTH < centers["b"][0]);
        assert_eq!(centers["b"][0], centers["x"][0]);
    }

    #[test]
    fn odd_models_are_drawn() {
        assert!(layers_svg(&[]).ends_with("</svg>"));
        let loops = [layer("a", &["b", "a"]), layer("b", &["a", "missing"])];
        let svg = layers_svg(&loops);
        assert_eq!(svg.matches("<rect").count(), 3);
        let long: Vec<LayerRecord> = (0..400).map(|i| layer(&format!("l{i}"), &[])).collect();
        assert!(layers_svg(&long).contains("150 layers, and 250 more"));
        let evil = layers_svg(&[layer("<script>", &[])]);
        assert!(!evil.contains("<script") && evil.contains("&lt;script&gt;"));
    }
}
