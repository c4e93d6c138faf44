//! Maps: the scores of classes by label, and rows of numbers from maps.

use super::super::axes::size_of;
use super::DOMAIN;
use super::labels::ClassLabels;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::{MapKey, OnnxValue, Strings};
use neurax_tensor::{DType, Tensor, concat};
use std::collections::BTreeMap;

pub(crate) const OPERATORS: &[Operator] = &[
    op("CastMap", &[1], 1..=1, cast_map)
        .domain(DOMAIN)
        .attributes(&["cast_to", "map_form", "max_map"]),
    op("DictVectorizer", &[1], 1..=1, vectorize)
        .domain(DOMAIN)
        .attributes(&["int64_vocabulary", "string_vocabulary"]),
    op("ZipMap", &[1], 1..=1, zip_map)
        .domain(DOMAIN)
        .attributes(&["classlabels_int64s", "classlabels_strings"]),
];

/// Returns a map from labels to scores for each row.
fn zip_map(c: &NodeCall) -> RuleOutcome {
    let scores = c.known(0)?;
    let labels = ClassLabels::read(c, "classlabels_int64s", "classlabels_strings")?;
    if !matches!(scores.rank(), 1 | 2) || scores.dim(-1) != labels.len() {
        return fail(format!("expected {} scores of each row, got {}", labels.len(), scores.ty()?));
    }
    let keys: Vec<MapKey> = match &labels {
        ClassLabels::Ints(labels) => labels.iter().map(|&i| MapKey::Int(i)).collect(),
        ClassLabels::Strings(labels) => labels.iter().cloned().map(MapKey::String).collect(),
    };
    let scores = scores.to(DType::F32).to_vec::<f32>()?;
    let row = |row: &[f32]| {
        let entries: BTreeMap<MapKey, f32> =
            keys.iter().cloned().zip(row.iter().copied()).collect();
        let value = |x: f32| OnnxValue::Tensor(Tensor::scalar(DType::F32, x));
        OnnxValue::Map(entries.into_iter().map(|(key, x)| (key, value(x))).collect())
    };
    one(OnnxValue::Sequence(scores.chunks(labels.len()).map(row).collect()))
}

fn entries<'c>(c: &'c NodeCall) -> Result<&'c [(MapKey, OnnxValue)], RuleFailure> {
    match c.value(0)? {
        OnnxValue::Map(entries) => Ok(entries),
        other => fail(format!("expected a map, got {}", other.kind())),
    }
}

/// Returns the values of a map in the order of a vocabulary, one row; 0 or an empty string for keys
/// that it does not have. Keys outside of the vocabulary are left out.
fn vectorize(c: &NodeCall) -> RuleOutcome {
    let keys: Vec<MapKey> = match ClassLabels::read(c, "int64_vocabulary", "string_vocabulary")? {
        ClassLabels::Ints(keys) => keys.into_iter().map(MapKey::Int).collect(),
        ClassLabels::Strings(keys) => keys.into_iter().map(MapKey::String).collect(),
    };
    one(in_order(entries(c)?, &keys)?)
}

fn in_order(entries: &[(MapKey, OnnxValue)], keys: &[MapKey]) -> Result<OnnxValue, RuleFailure> {
    let table: BTreeMap<&MapKey, &OnnxValue> = entries.iter().map(|(key, x)| (key, x)).collect();
    if let Some((_, OnnxValue::Strings(_))) = entries.first() {
        let values = keys.iter().map(|key| table.get(key).map_or(Ok(String::new()), |x| text(x)));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        return Ok(Strings::new([1, keys.len()], values)?.into());
    }
    let dtype = match entries.first() {
        Some((_, OnnxValue::Tensor(x))) => x.dtype(),
        _ => DType::F32,
    };
    let zero = Tensor::zeros_of(dtype, [1, 1]);
    let values = keys.iter().map(|key| match table.get(key) {
        Some(x) => Ok(number(x)?.reshape([1, 1])),
        None => Ok(zero.clone()),
    });
    Ok(concat(values.collect::<Result<Vec<_>, RuleFailure>>()?, 1).into())
}

fn number(x: &OnnxValue) -> Result<&Tensor, RuleFailure> {
    match x {
        OnnxValue::Tensor(x) if x.size() == 1 => Ok(x),
        other => fail(format!("expected one number as a value of the map, got {}", other.kind())),
    }
}

fn text(x: &OnnxValue) -> Result<String, RuleFailure> {
    match x {
        OnnxValue::Strings(x) if x.elements().len() == 1 => Ok(x.elements()[0].clone()),
        other => fail(format!("expected one string as a value of the map, got {}", other.kind())),
    }
}

/// Returns the values of a map of integers in the order of the keys, one row; if `map_form` is
/// `SPARSE`, at the places that are the keys.
fn cast_map(c: &NodeCall) -> RuleOutcome {
    let places = match c.str_or("map_form", "DENSE")?.as_str() {
        "DENSE" => None,
        "SPARSE" => Some(size_of(c.int_or("max_map", 1)?)?),
        other => return fail(format!("expected DENSE or SPARSE as `map_form`, got `{other}`")),
    };
    let row = row(entries(c)?, places)?;
    one(cast_row(&row, &c.str_or("cast_to", "TO_FLOAT")?)?)
}

/// Returns the values in the order of the keys, or at their places.
fn row(
    entries: &[(MapKey, OnnxValue)],
    places: Option<usize>,
) -> Result<Vec<Option<&OnnxValue>>, RuleFailure> {
    let mut table = BTreeMap::new();
    for (key, x) in entries {
        match key {
            MapKey::Int(i) => table.insert(*i, x),
            MapKey::String(s) => return fail(format!("expected integers as keys, got `{s}`")),
        };
    }
    let Some(size) = places else { return Ok(table.into_values().map(Some).collect()) };
    let mut row = vec![None; size];
    for (i, x) in table {
        match usize::try_from(i).ok().and_then(|i| row.get_mut(i)) {
            Some(place) => *place = Some(x),
            None => return fail(format!("the key {i} is out of range for {size} places")),
        }
    }
    Ok(row)
}

fn cast_row(row: &[Option<&OnnxValue>], to: &str) -> Result<OnnxValue, RuleFailure> {
    let shape = [1, row.len()];
    if to == "TO_STRING" {
        // The filling is that of ONNX Runtime.
        let written = |x: &Option<&OnnxValue>| match x {
            None => Ok("0.f".to_string()),
            Some(x @ OnnxValue::Strings(_)) => text(x),
            Some(x) => Ok(format!("{:.6}", number(x)?.item()?)),
        };
        let strings = row.iter().map(written).collect::<Result<Vec<_>, _>>()?;
        return Ok(Strings::new(shape, strings)?.into());
    }
    let dtype = match to {
        "TO_FLOAT" => DType::F32,
        "TO_INT64" => DType::I64,
        other => return fail(format!("expected a type as `cast_to`, got `{other}`")),
    };
    let cast = |x: &Option<&OnnxValue>| match x {
        None => Ok(Tensor::zeros_of(dtype, ())),
        Some(x @ OnnxValue::Strings(_)) => parsed(&text(x)?, dtype),
        Some(x) => Ok(number(x)?.reshape(()).to(dtype)),
    };
    let numbers = row.iter().map(cast).collect::<Result<Vec<_>, _>>()?;
    Ok(match numbers.is_empty() {
        true => Tensor::zeros_of(dtype, shape).into(),
        false => neurax_tensor::stack(numbers, 0).reshape(shape).into(),
    })
}

fn parsed(s: &str, dtype: DType) -> Result<Tensor, RuleFailure> {
    let number = match dtype {
        DType::I64 => s.trim().parse::<i64>().ok().map(|x| Tensor::scalar(dtype, x)),
        _ => s.trim().parse::<f32>().ok().map(|x| Tensor::scalar(dtype, x)),
    };
    number.map_or_else(|| fail(format!("expected a number, got `{s}`")), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(i64, f32)]) -> Vec<(MapKey, OnnxValue)> {
        let value = |x: f32| Tensor::scalar(DType::F32, x).into();
        entries.iter().map(|&(key, x)| (MapKey::Int(key), value(x))).collect()
    }

    fn floats(x: OnnxValue) -> (Vec<usize>, Vec<f32>) {
        match x {
            OnnxValue::Tensor(x) => (x.shape().to_vec(), x.to_vec().unwrap()),
            other => panic!("{}", other.kind()),
        }
    }

    #[test]
    fn a_vocabulary_orders_the_values_of_a_map() {
        let keys = [MapKey::Int(7), MapKey::Int(5), MapKey::Int(1)];
        let y = in_order(&map(&[(1, 1.5), (7, 2.5), (9, 9.0)]), &keys).unwrap();
        assert_eq!(floats(y), (vec![1, 3], vec![2.5, 0.0, 1.5]));
    }

    #[test]
    fn maps_are_cast_to_dense_and_to_sparse_rows() {
        let entries = map(&[(3, 3.5), (1, 1.5)]);
        let dense = cast_row(&row(&entries, None).unwrap(), "TO_FLOAT").unwrap();
        assert_eq!(floats(dense), (vec![1, 2], vec![1.5, 3.5]));
        let sparse = cast_row(&row(&entries, Some(5)).unwrap(), "TO_FLOAT").unwrap();
        assert_eq!(floats(sparse), (vec![1, 5], vec![0.0, 1.5, 0.0, 3.5, 0.0]));
        assert!(row(&entries, Some(3)).is_err(), "the key 3 is none of 0 to 2");
        let OnnxValue::Strings(s) = cast_row(&row(&entries, None).unwrap(), "TO_STRING").unwrap()
        else {
            panic!("expected strings")
        };
        assert_eq!(s.elements(), ["1.500000", "3.500000"]);
        let words = [(MapKey::Int(0), Strings::new([], vec!["12".into()]).unwrap().into())];
        let OnnxValue::Tensor(y) = cast_row(&row(&words, None).unwrap(), "TO_INT64").unwrap()
        else {
            panic!("expected numbers")
        };
        assert_eq!(y.to_vec::<i64>().unwrap(), [12]);
    }
}
