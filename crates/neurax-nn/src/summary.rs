//! The summary table of a model.

use crate::cx::VariableSource;
use crate::input_shapes::placeholder;
use crate::stored_param::{QUANTIZED, quantized_elements};
use crate::vars::{FROZEN, elements};
use crate::{Mode, Model, Net, Params, Vars};
use neurax_tensor::{DType, Dim, Tensor, Type, TypeSpec, multiply_adds};
use std::collections::{BTreeMap, HashMap};

impl Model {
    /// Returns a table of the layers: paths, output types, numbers of parameters, bytes of all
    /// variables, and the multiply-adds of matrix products and convolutions for one example (axes
    /// of any size count as 1). If a layer has state, such as running statistics, a column `state`
    /// shows how many numbers it has; they are not trained. A layer that cannot be applied to its
    /// inputs shows its error. [`Net::summary`] also shows which layers are frozen.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("image", dims![_, 64]).dense(128).relu().dense(10).softmax();
    /// assert_eq!(model.summary(), "\
    /// layer    output       parameters   bytes  multiply-adds
    /// -------------------------------------------------------
    /// image    f32[_, 64]            0       0              0
    /// dense    f32[_, 128]       8,320  33,280          8,192
    /// relu     f32[_, 128]           0       0              0
    /// dense_1  f32[_, 10]        1,290   5,160          1,280
    /// softmax  f32[_, 10]            0       0              0
    /// -------------------------------------------------------
    /// total                      9,610  38,440          9,472
    /// ");
    /// ```
    pub fn summary(&self) -> String {
        table(&self.rows(None), false)
    }

    /// Returns the rows of the table of [`Model::summary`], without that of the totals, to print or
    /// draw them in another way. Layers without a trainable parameter or state have rows, too.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("image", dims![_, 64]).dense(128).relu().model();
    /// let rows = model.summary_rows();
    /// assert_eq!((rows[1].path.as_str(), rows[1].output.as_str()), ("dense", "f32[_, 128]"));
    /// assert_eq!((rows[1].trainable, rows[1].multiply_adds), (8320, Some(8192)));
    /// ```
    pub fn summary_rows(&self) -> Vec<SummaryRow> {
        self.rows(None)
    }

    /// Returns the rows of the table, with the types of `vars` or of new variables.
    fn rows(&self, vars: Option<&Vars>) -> Vec<SummaryRow> {
        // Axes of any size get two different sizes; an output axis that differs between the two
        // runs has any size, too.
        let dtypes = self.guessed_dtypes(2);
        let (small, new) = self.values_for(2, &dtypes);
        let (large, _) = self.values_for(3, &dtypes);
        let vars = vars.unwrap_or(&new);
        let work = self.work(&dtypes);
        let layers = small.iter().zip(&large);
        let row = |(a, b): (&crate::evaluate::LayerValues, &crate::evaluate::LayerValues)| {
            let outputs = a.values.iter().zip(&b.values).map(|(a, b)| output(a, b));
            let outputs = outputs.collect::<Vec<_>>().join(", ");
            SummaryRow::new(&a.path, outputs, vars, work.as_ref().map(|w| w.get(&a.path).copied()))
        };
        layers.map(row).collect()
    }

    /// Returns the multiply-adds of each layer for one example, or `None` if the layers cannot be
    /// applied to one.
    fn work(&self, dtypes: &[DType]) -> Option<BTreeMap<String, u64>> {
        let mut sizes = HashMap::new();
        let types = self.input_specs().zip(dtypes);
        let types = types.map(|(s, &dtype)| TypeSpec { dtype, dims: s.dims.clone() });
        let inputs: Vec<Tensor> = types.map(|t| placeholder(&t, 1, &mut sizes)).collect();
        let evaluate = |xs: Vec<Tensor>| {
            let source = VariableSource::Types;
            self.evaluate(source, &xs, &Mode::Eval, &mut Vars::default(), None)
        };
        multiply_adds(evaluate, &inputs).ok()
    }
}

impl Net {
    /// Returns the table of [`Model::summary`] with a column that says whether the parameters of a
    /// layer are trainable: `yes`, `no` if they are frozen, or `partly`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(4).relu().dense(2).model();
    /// let mut vars = model.init(key(0), &types![f32[_, 3]])?;
    /// vars.freeze("dense.*")?;
    /// assert_eq!(model.bind(vars).summary(), "\
    /// layer    output     parameters  bytes  multiply-adds  trainable
    /// ---------------------------------------------------------------
    /// x        f32[_, 3]           0      0              0
    /// dense    f32[_, 4]          16     64             12         no
    /// relu     f32[_, 4]           0      0              0
    /// dense_1  f32[_, 2]          10     40              8        yes
    /// ---------------------------------------------------------------
    /// total                       26    104             20
    /// ");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn summary(&self) -> String {
        table(&self.model.rows(Some(&self.vars)), true)
    }
}

/// A layer in the table of [`Model::summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    /// The path.
    pub path: String,
    /// The types of the outputs, such as `f32[_, 64]`, or the error of a layer that cannot be
    /// applied to its inputs.
    pub output: String,
    /// The number of trainable parameters.
    pub trainable: usize,
    /// The number of frozen parameters.
    pub frozen: usize,
    /// The number of elements of the state, such as running statistics.
    pub state: usize,
    /// The bytes of all variables.
    pub bytes: usize,
    /// The multiply-adds of one example; `None` if the number is not known.
    pub multiply_adds: Option<u64>,
}

impl SummaryRow {
    fn new(path: &str, output: String, vars: &Vars, work: Option<Option<u64>>) -> SummaryRow {
        // A part of a layer has a path below that of the layer.
        let is_own = |layer: &str| {
            let rest = layer.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_param = |p: &str| p.rsplit_once('.').is_some_and(|(layer, _)| is_own(layer));
        let own = |(p, m): (&String, &BTreeMap<String, Tensor>)| is_own(p).then(|| m.clone());
        let trainable: Vec<_> = vars.params.iter().filter_map(own).collect();
        let state: Vec<_> = vars.state.iter().filter_map(own).collect();
        let frozen = vars.state.get(FROZEN).into_iter().flatten().filter(|(p, _)| is_param(p));
        let frozen: Vec<&Tensor> = frozen.map(|(_, t)| t).collect();
        let stored = |(p, m): (&String, &BTreeMap<String, Tensor>)| {
            let path = p.strip_prefix(QUANTIZED)?.strip_prefix('.')?;
            is_param(path).then(|| (p.clone(), m.clone()))
        };
        let quantized: Params = vars.state.iter().filter_map(stored).collect();
        // empty: the column of the output shows the error.
        let size = |t: &Tensor| t.ty().and_then(|t| t.bytes()).unwrap_or(0);
        let maps = trainable.iter().chain(&state).chain(quantized.values());
        let all = maps.flat_map(BTreeMap::values).chain(frozen.iter().copied());
        SummaryRow {
            path: path.into(),
            output,
            trainable: trainable.iter().map(elements).sum(),
            frozen: frozen.iter().map(|t| t.size()).sum::<usize>() + quantized_elements(&quantized),
            state: state.iter().map(elements).sum(),
            bytes: all.map(size).sum(),
            // empty: a layer without matrix products is not listed.
            multiply_adds: work.map(|w| w.unwrap_or(0)),
        }
    }

    fn trainable(&self) -> &'static str {
        match (self.trainable, self.frozen) {
            (0, 0) => "",
            (_, 0) => "yes",
            (0, _) => "no",
            _ => "partly",
        }
    }
}

/// A column of the table.
struct Column {
    head: &'static str,
    /// True if the cells are text, which is aligned at the left.
    is_text: bool,
    cell: fn(&SummaryRow) -> String,
}

/// Returns the columns of a table: that of the state only if a layer has some.
fn columns(rows: &[SummaryRow], has_trainable: bool) -> Vec<Column> {
    let text = |head, cell| Column { head, is_text: true, cell };
    let number = |head, cell| Column { head, is_text: false, cell };
    let mut all = vec![
        text("layer", |r| r.path.clone()),
        text("output", |r| r.output.clone()),
        number("parameters", |r| grouped(r.trainable.saturating_add(r.frozen))),
    ];
    if rows.iter().any(|r| r.state > 0) {
        all.push(number("state", |r| grouped(r.state)));
    }
    all.push(number("bytes", |r| grouped(r.bytes)));
    all.push(number("multiply-adds", |r| {
        r.multiply_adds.map_or("?".into(), |w| grouped(w as usize))
    }));
    if has_trainable {
        all.push(number("trainable", |r| r.trainable().to_string()));
    }
    all
}

/// Returns the table of `rows` as text, with a head and a row of totals.
fn table(rows: &[SummaryRow], has_trainable: bool) -> String {
    let columns = columns(rows, has_trainable);
    let cells = |row: &SummaryRow| columns.iter().map(|c| (c.cell)(row)).collect::<Vec<_>>();
    let head: Vec<String> = columns.iter().map(|c| c.head.to_string()).collect();
    let body: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let mut last = cells(&total(rows));
    // A total is not trainable or frozen.
    if let (true, Some(trainable)) = (has_trainable, last.last_mut()) {
        trainable.clear();
    }
    let all = || body.iter().chain([&head, &last]);
    let width = |i: usize| all().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| line(row, &columns, &widths);
    let length = widths.iter().sum::<usize>() + 2 * (widths.len() - 1);
    let rule = format!("{}\n", "-".repeat(length));
    let lines: String = body.iter().map(line).collect();
    format!("{}{rule}{lines}{rule}{}", line(&head), line(&last))
}

/// Returns the row of totals.
fn total(rows: &[SummaryRow]) -> SummaryRow {
    let sum = |f: fn(&SummaryRow) -> usize| rows.iter().map(f).fold(0, usize::saturating_add);
    SummaryRow {
        path: "total".into(),
        output: String::new(),
        trainable: sum(|r| r.trainable),
        frozen: sum(|r| r.frozen),
        state: sum(|r| r.state),
        bytes: sum(|r| r.bytes),
        multiply_adds: rows.iter().map(|r| r.multiply_adds).sum(),
    }
}

fn line(row: &[String], columns: &[Column], widths: &[usize]) -> String {
    let cells = row.iter().zip(columns).zip(widths).map(|((cell, column), &width)| {
        if column.is_text { format!("{cell:width$}") } else { format!("{cell:>width$}") }
    });
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

fn output(a: &Tensor, b: &Tensor) -> String {
    match (a.ty(), b.ty()) {
        (Ok(a), Ok(b)) if a.rank() == b.rank() => generalized(&a, &b).to_string(),
        (Ok(a), _) => a.to_string(),
        (Err(e), _) => e.to_string(),
    }
}

/// Returns the type of both, with `_` for each axis whose size differs.
fn generalized(a: &Type, b: &Type) -> TypeSpec {
    let dims = a
        .shape
        .iter()
        .zip(b.shape.iter())
        .map(|(x, y)| if x == y { Dim::Size(*x) } else { Dim::Any });
    TypeSpec { dtype: a.dtype, dims: dims.collect() }
}

/// Formats `1234567` as `1,234,567`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input;
    use neurax_tensor::{dims, key};

    #[test]
    fn a_layer_that_cannot_be_applied_shows_its_error() {
        let s = input("x", dims![_, 3]).reshape([2]).dense(1).summary();
        assert!(s.contains("reshape  reshape:"), "{s}");
    }

    #[test]
    fn state_is_counted_where_there_is_some() {
        // The frozen bias of `dense` is stored as state, but counts as a parameter.
        let model = input("x", dims![_, 3]).layer(crate::BatchNorm::new()).dense(2).model();
        let mut vars = model.init(key(0), &neurax_tensor::types![f32[_, 3]]).unwrap();
        vars.freeze("dense.bias").unwrap();
        let s = model.bind(vars).summary();
        let expected = "\
layer       output     parameters  state  bytes  multiply-adds  trainable
-------------------------------------------------------------------------
x           f32[_, 3]           0      0      0              0
batch_norm  f32[_, 3]           6      6     48              0        yes
dense       f32[_, 2]           8      0     32              6     partly
-------------------------------------------------------------------------
total                          14      6     80              6
";
        assert_eq!(s, expected);
        assert!(model.summary().contains("parameters  state  bytes  multiply-adds\n"));
    }

    #[test]
    fn integer_inputs_are_shown_whether_declared_or_not() {
        let embed = |cx: &mut crate::Cx, [x]: [Tensor; 1]| {
            cx.param("table", [9, 4], crate::init::ones()).take(&x, 0)
        };
        for tokens in [input("t", dims![_, 3]), crate::typed_input("t", DType::I64, dims![_, 3])] {
            let words = crate::layer("embed", [&tokens], embed).reshape([12]);
            let s = (words + input("x", dims![_, 12])).summary();
            assert!(s.contains("embed    f32[_, 3, 4]") && !s.contains("expected"), "{s}");
        }
    }

    #[test]
    fn parameters_have_the_dtype_of_their_initializer() {
        let half = crate::init::ones().dtype(DType::F16);
        let layer = crate::Dense::new(2).kernel(half).bias(false);
        let model = input("x", dims![_, 3]).layer(layer).model();
        let vars = model.init(key(0), &neurax_tensor::types![f32[_, 3]]).unwrap();
        let expected = model.expected_vars().unwrap();
        assert_eq!(expected.params["dense"]["kernel"].dtype(), DType::F16);
        let (new, own) = (model.summary(), model.bind(vars).summary());
        let bytes = |s: &str| s.lines().last().unwrap().split_whitespace().nth(2).map(String::from);
        assert_eq!((bytes(&new), bytes(&own)), (Some("12".into()), Some("12".into())), "{new}");
    }

    #[test]
    fn an_input_of_another_dtype_is_an_error() {
        let model = crate::typed_input("t", DType::I32, dims![_, 3]).model();
        let out = model.apply(&Vars::default(), Tensor::zeros([2, 3]), &crate::Mode::Eval);
        let e = out.y().error().map(|e| e.message().to_string());
        assert_eq!(e.as_deref(), Some("input `t`: expected dtype i32, got f32[2, 3]"));
        let types = neurax_tensor::types![f32[_, 3]];
        assert!(model.init(key(0), &types).unwrap_err().message().contains("expected dtype i32"));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
