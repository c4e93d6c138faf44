//! Values as rich outputs of a notebook: evcxr calls `evcxr_display` on the last value of a cell.

use crate::color_scale::{ColoredMatrix, colored};
use crate::figure::figure;
use crate::layer_graph::layers_svg;
use crate::plot::{Plot, PlotKind, PlotScale};
use crate::run_plots::{epoch_plots, prediction_plots, run_plots};
use crate::score_plots::TRAINING_LINE;
use crate::tables::{layer_table, tensor_table};
use crate::text::escape;
use crate::tuning::{MAX_IMAGE_SIDE, MAX_TABLE_COLUMNS, MAX_TABLE_ROWS};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use neurax_nn::Model;
use neurax_tensor::{DType, Result, Tensor};
use neurax_train::{
    EpochLog, ImageAxes, LayerRecord, MetricsLine, PredictionRecord, RunFiles, png_image,
};
use serde_json::{Value, json};
use std::fmt;

const HTML: &str = "text/html";
const SVG: &str = "image/svg+xml";
const VEGA_LITE: &str = "application/vnd.vegalite.v5+json";
/// The width of the image of a tensor in pixels, whose own pixels are enlarged.
const IMAGE_WIDTH: usize = 320;
/// The side in pixels above which a tensor with an axis of channels is shown as an image.
const LEAST_IMAGE_SIDE: usize = 4;

/// A value that can be displayed in a notebook: see [`show`].
pub trait Show {
    /// Returns the value in the formats of a notebook.
    ///
    /// # Errors
    /// If the value carries an error or cannot be drawn.
    fn shown(&self) -> Result<Shown>;
}

/// Returns a value as a notebook displays it. In evcxr, the last expression of a cell is displayed:
/// `show(&trained.history)`.
///
/// | value | display |
/// |---|---|
/// | `Tensor` | a table if it is small, a heat map if it is a matrix, images if it has their axes |
/// | the history of a training | charts of the scores and the throughput: Vega-Lite, SVG in HTML |
/// | `Model` | the table and the graph of its layers |
/// | [`Plot`], `RunFiles`, `PredictionRecord` | SVG with captions in HTML |
///
/// The axes of images are those of [`ImageAxes`]: a batch is a grid. Other tensors are text, and a
/// value that carries an error is displayed as its message.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let table = neurax_report::show(&tensor([[1.5, 2.0]]));
/// assert!(table.content("text/html").is_some_and(|html| html.contains("<td>1.500</td>")));
/// let model = nn::input("x", dims![_, 3]).dense(4).model();
/// assert!(neurax_report::show(&model).content("image/svg+xml").is_some());
/// ```
pub fn show(value: &(impl Show + ?Sized)) -> Shown {
    value.shown().unwrap_or_else(|e| Shown::new("text/plain", e.to_string()))
}

/// A value in the formats of a notebook, of which it displays the best one that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Pairs of a MIME type and a text.
    contents: Vec<(String, String)>,
}

impl Shown {
    /// Creates a display of one format.
    pub fn new(mime: &str, content: String) -> Shown {
        Shown::default().and(mime, content)
    }

    /// Adds the same value in another format.
    pub fn and(mut self, mime: &str, content: String) -> Shown {
        self.contents.push((mime.into(), content));
        self
    }

    /// Returns the text of a format.
    pub fn content(&self, mime: &str) -> Option<&str> {
        self.contents.iter().find(|(m, _)| m == mime).map(|(_, content)| content.as_str())
    }

    /// Prints the formats to standard output, in the way in which evcxr recognizes them.
    pub fn evcxr_display(&self) {
        println!("{self}");
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (mime, content) in &self.contents {
            writeln!(f, "EVCXR_BEGIN_CONTENT {mime}\n{content}\nEVCXR_END_CONTENT")?;
        }
        Ok(())
    }
}

impl Show for Tensor {
    fn shown(&self) -> Result<Shown> {
        let ty = self.ty()?;
        let plain = Shown::new("text/plain", self.to_string());
        let is_table = match *ty.shape {
            [n] => n <= MAX_TABLE_COLUMNS,
            [rows, columns] => rows <= MAX_TABLE_ROWS && columns <= MAX_TABLE_COLUMNS,
            _ => false,
        };
        if self.dtype().is_complex() || self.size() == 0 {
            return Ok(plain);
        }
        match ImageAxes::of(&ty.shape).filter(|axes| is_image(axes, ty.shape.len())) {
            _ if is_table => Ok(plain.and(HTML, tensor_table(self)?)),
            Some(axes) => Ok(plain.and(HTML, image(self, &axes)?)),
            None => Ok(plain),
        }
    }
}

impl Show for [EpochLog] {
    fn shown(&self) -> Result<Shown> {
        // A log does not know its step, and no plot over the epochs reads it.
        let lines = self.iter().map(|log| MetricsLine::of_epoch(log, 0, None)).collect();
        let all = epoch_plots(&RunFiles { lines, ..RunFiles::default() });
        Ok(Shown::new(VEGA_LITE, vega_lite(&all).to_string()).and(HTML, plots(&all)))
    }
}

impl Show for Vec<EpochLog> {
    fn shown(&self) -> Result<Shown> {
        self.as_slice().shown()
    }
}

impl Show for Model {
    fn shown(&self) -> Result<Shown> {
        let layers = LayerRecord::of(self);
        let (table, svg) = (layer_table(&layers), layers_svg(&layers));
        Ok(Shown::new(HTML, format!("{table}{svg}")).and(SVG, svg))
    }
}

impl Show for Plot {
    fn shown(&self) -> Result<Shown> {
        let svg = self.to_svg()?;
        Ok(Shown::new(HTML, figure(self, Ok(svg.clone()))).and(SVG, svg))
    }
}

impl Show for RunFiles {
    fn shown(&self) -> Result<Shown> {
        Ok(Shown::new(HTML, plots(&run_plots(self))))
    }
}

impl Show for PredictionRecord {
    fn shown(&self) -> Result<Shown> {
        Ok(Shown::new(HTML, plots(&prediction_plots(self))))
    }
}

/// Returns plots with their captions in a row that wraps.
fn plots(all: &[Plot]) -> String {
    let figures: String = all.iter().map(|plot| figure(plot, plot.to_svg())).collect();
    format!("<div style=\"display:flex;flex-wrap:wrap;gap:16px\">\n{figures}</div>")
}

/// Returns true if a notebook shows a tensor of these axes as an image, and not as text.
fn is_image(axes: &ImageAxes, rank: usize) -> bool {
    let (least, most) = (axes.height.min(axes.width), axes.height.max(axes.width));
    least > if rank == 2 { 1 } else { LEAST_IMAGE_SIDE } && most <= MAX_IMAGE_SIDE
}

/// Returns a matrix as a heat map, or the images of a tensor, as an element of HTML.
fn image(x: &Tensor, axes: &ImageAxes) -> Result<String> {
    let images = axes.images.min(axes.images_within(MAX_IMAGE_SIDE));
    let (pixels, about) = if x.rank() == 2 {
        let ColoredMatrix { pixels, legend } = colored(x)?;
        (pixels, legend)
    } else {
        let pixels = if images < axes.images { x.slice(0, ..images as i64) } else { x.clone() };
        (pixels, about_images(axes, images, x.dtype()))
    };
    let data = BASE64_STANDARD.encode(png_image(&pixels)?);
    let [_, width] = ImageAxes { images, ..*axes }.grid_size();
    let width = width.max(IMAGE_WIDTH);
    let about = escape(&format!("{}: {about}", x.ty()?));
    Ok(format!(
        "<figure><img alt=\"{about}\" width=\"{width}\" style=\"image-rendering:pixelated\" \
         src=\"data:image/png;base64,{data}\"><figcaption>{about}</figcaption></figure>"
    ))
}

/// Returns the number of images of which `shown` are displayed, their kind, and the range to which
/// [`png_image`] clamps their numbers.
fn about_images(axes: &ImageAxes, shown: usize, dtype: DType) -> String {
    let (article, kind) = match axes.channels {
        1 => ("a", "grey"),
        3 => ("an", "RGB"),
        _ => ("an", "RGBA"),
    };
    let images = match axes.images {
        1 => format!("{article} {kind} image"),
        all if shown < all => format!("the first {shown} of {all} {kind} images"),
        all => format!("{all} {kind} images"),
    };
    let range = match dtype {
        DType::Bool | DType::U8 => "", // All their numbers are in the range.
        _ if dtype.is_float() => ", clamped to 0..=1",
        _ => ", clamped to 0..=255",
    };
    images + range
}

/// Returns plots over the epochs as charts in the grammar of Vega-Lite 5, without the points that
/// are not finite.
fn vega_lite(plots: &[Plot]) -> Value {
    let (mut values, mut charts) = (vec![], vec![]);
    for plot in plots {
        let PlotKind::Lines { lines, scale, .. } = &plot.kind else { continue };
        for line in lines {
            let set = if line.name.is_empty() { TRAINING_LINE } else { &line.name };
            for [epoch, y] in line.points.iter().filter(|[_, y]| y.is_finite()) {
                let score = &plot.title;
                values.push(json!({"epoch": epoch, "score": score, "set": set, "value": y}));
            }
        }
        charts.push(vega_lite_chart(plot, *scale));
    }
    json!({
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "concat": charts,
        "columns": 2,
        "resolve": {"scale": {"color": "independent"}},
    })
}

/// Returns the chart of a plot, whose values are those with its title.
fn vega_lite_chart(plot: &Plot, scale: PlotScale) -> Value {
    let of_plot = json!({"filter": {"field": "score", "equal": plot.title}});
    let (filters, y_scale) = match scale {
        PlotScale::Linear => (vec![of_plot], json!({"zero": false})),
        // Vega-Lite has no position for 0 on a logarithmic scale.
        PlotScale::Logarithmic => {
            (vec![of_plot, json!({"filter": "datum.value > 0"})], json!({"type": "log"}))
        }
    };
    json!({
        "title": plot.caption(),
        "transform": filters,
        "mark": {"type": "line", "point": true, "tooltip": true},
        "width": 320,
        "height": 200,
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "axis": {"tickMinStep": 1}},
            "y": {"field": "value", "type": "quantitative", "title": null, "scale": y_scale},
            "color": {"field": "set", "type": "nominal", "title": null, "sort": null},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::PlotLine;
    use neurax_tensor::tensor;
    use neurax_train::Scores;

    #[test]
    fn small_tensors_are_tables_and_large_ones_images() {
        let formats = |x: &Tensor| {
            let html = show(x).content(HTML).map(str::to_string).unwrap_or_default();
            (html.contains("<table"), html.contains("data:image/png;base64,iVBOR"))
        };
        assert_eq!(formats(&Tensor::ones([3])), (true, false));
        assert_eq!(formats(&Tensor::ones([3, 4])), (true, false));
        assert_eq!(formats(&Tensor::ones([40, 30])), (false, true));
        assert_eq!(formats(&Tensor::ones([8, 8, 3])), (false, true));
        assert_eq!(formats(&Tensor::ones([3, 8, 8])), (false, true));
        assert_eq!(formats(&Tensor::ones([5, 1, 28, 28])), (false, true));
        assert_eq!(formats(&Tensor::ones([2, 3, 4, 5])), (false, false));
        assert_eq!(formats(&Tensor::ones([5, 2, 28, 28])), (false, false));
        assert_eq!(formats(&Tensor::zeros([0, 3])), (false, false));
        assert_eq!(formats(&Tensor::zeros([2000, 30])), (false, false));
        assert_eq!(formats(&(Tensor::zeros([40, 30]) + f32::NAN)), (false, true));
        assert!(show(&Tensor::zeros([0, 3])).content("text/plain").is_some());
    }

    #[test]
    fn captions_say_which_images_are_shown() {
        let about = |shape: &[usize], dtype: DType| {
            let shown = show(&Tensor::ones(shape.to_vec()).to(dtype));
            let html = shown.content(HTML).unwrap().to_string();
            let caption = html.split("figcaption>").nth(1).unwrap();
            let width = html.split("width=\"").nth(1).unwrap().split('"').next().unwrap();
            format!("{} {width}", caption.strip_suffix("</").unwrap())
        };
        let rgb = |dtype: DType| about(&[3, 8, 8], dtype);
        assert_eq!(rgb(DType::F32), "f32[3, 8, 8]: an RGB image, clamped to 0..=1 320");
        assert_eq!(rgb(DType::I32), "i32[3, 8, 8]: an RGB image, clamped to 0..=255 320");
        assert_eq!(rgb(DType::Bool), "bool[3, 8, 8]: an RGB image 320");
        let bytes = |shape: &[usize]| about(shape, DType::U8);
        assert_eq!(bytes(&[1, 8, 8]), "u8[1, 8, 8]: a grey image 320");
        assert_eq!(bytes(&[8, 8, 4]), "u8[8, 8, 4]: an RGBA image 320");
        assert_eq!(bytes(&[4, 1, 8, 8]), "u8[4, 1, 8, 8]: 4 grey images 320");
        // Four columns of 201 pixels, without the gap behind the last one.
        let first = "u8[40, 1, 200, 200]: the first 16 of 40 grey images 803";
        assert_eq!(bytes(&[40, 1, 200, 200]), first);
    }

    #[test]
    fn a_plot_that_cannot_be_drawn_does_not_hide_the_others() {
        let lines = |points| vec![PlotLine::new("a", points)];
        let bad = Plot::lines("bad", "step", lines(vec![[0.0, f64::MIN], [1.0, f64::MAX]]));
        let good = Plot::lines("good", "step", lines(vec![[0.0, 1.0], [1.0, 2.0]]));
        let html = plots(&[bad, good]);
        assert!(html.contains("role=\"alert\"") && html.contains("<figcaption>good<"), "{html}");
        assert_eq!(html.matches("<svg").count(), 1);
    }

    #[test]
    fn a_logarithmic_plot_says_so_and_its_chart_has_a_logarithmic_scale() {
        let mut plot = Plot::lines("loss", "epoch", vec![PlotLine::new("", vec![[1.0, 90.0]])]);
        let PlotKind::Lines { scale, .. } = &mut plot.kind else { panic!("no lines") };
        *scale = PlotScale::Logarithmic;
        let caption = "loss (logarithmic scale)";
        assert!(show(&plot).content(HTML).unwrap().contains(caption));
        let chart = vega_lite(&[plot]);
        assert_eq!(chart["concat"][0]["title"], caption);
        assert_eq!(chart["concat"][0]["encoding"]["y"]["scale"]["type"], "log");
    }

    #[test]
    fn an_error_is_shown_as_its_message() {
        let bad = &tensor([1.0, 2.0]) + &tensor([1.0, 2.0, 3.0]);
        let shown = show(&bad);
        assert!(shown.content("text/plain").unwrap().contains("cannot broadcast"));
        let text = shown.to_string();
        assert!(text.starts_with("EVCXR_BEGIN_CONTENT text/plain\n"), "{text}");
        assert!(text.ends_with("\nEVCXR_END_CONTENT\n"), "{text}");
    }

    #[test]
    fn a_history_is_a_chart_of_its_finite_scores() {
        let scores = |x: f64| Scores::from_iter([("loss".to_string(), x)]);
        let log = |epoch, x| EpochLog {
            epoch,
            train: scores(x),
            validation: scores(0.5),
            examples: 1,
            skipped: 0,
            halted: false,
            seconds: 1.0,
        };
        let shown = show(&vec![log(0, 0.25), log(1, f64::NAN)]);
        let chart: Value = serde_json::from_str(shown.content(VEGA_LITE).unwrap()).unwrap();
        let values = chart["data"]["values"].as_array().unwrap();
        let of = |score: &str| values.iter().filter(|v| v["score"] == score).count();
        assert_eq!((values.len(), of("loss"), of("examples per second")), (5, 3, 2));
        assert_eq!(
            values[0],
            json!({"epoch": 1.0, "score": "loss", "set": "training", "value": 0.25})
        );
        assert!(shown.content(HTML).unwrap().contains("<polyline"));
    }

    #[test]
    fn the_sets_of_a_score_share_a_chart_whose_axis_is_the_epoch() {
        let log = |epoch| EpochLog {
            epoch,
            train: Scores::from_iter([("loss".to_string(), 1.0)]),
            validation: ["loss", "night loss"]
                .map(|name| (name.to_string(), 0.5))
                .into_iter()
                .collect(),
            examples: 30,
            skipped: 0,
            halted: false,
            seconds: 2.0,
        };
        let shown = show(&[log(0), log(1)][..]);
        let chart: Value = serde_json::from_str(shown.content(VEGA_LITE).unwrap()).unwrap();
        let values = chart["data"]["values"].as_array().unwrap();
        let sets: Vec<&str> = values
            .iter()
            .filter(|v| v["score"] == "loss" && v["epoch"] == 1.0)
            .filter_map(|v| v["set"].as_str())
            .collect();
        assert_eq!(sets, ["training", "validation", "night"]);
        assert!(values.iter().all(|v| v["score"] != "night loss"), "{values:?}");
        let html = shown.content(HTML).unwrap();
        assert!(html.contains("examples per second over epoch"), "{html}");
        assert!(!html.contains("over step"), "{html}");
    }
}
