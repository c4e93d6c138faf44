//! Writes a Parquet file with a column for each dtype; `scripts/pyarrow.sh` lets pyarrow read it.
//!
//! ```text
//! cargo run -p neurax-dataframe --example write_types -- types.parquet
//! ```

use neurax::prelude::*;
use neurax_dataframe::{frame_of, write_parquet};

fn main() -> Result<()> {
    let path = std::env::args().nth(1);
    let path = path.ok_or_else(|| Error::new("write_types", "expected the path of a file"))?;
    let mut columns = vec![("bool".to_string(), tensor([1, 0, 1]).to(BOOL))];
    let lowest = [("i8", I8, -128.0), ("i16", I16, -32768.0), ("i32", I32, -(2f64.powi(31)))];
    for (name, dtype, low) in lowest.into_iter().chain([("i64", I64, -(2f64.powi(63)))]) {
        columns.push((name.into(), Tensor::from_vec(vec![low, 0.0, 5.0], [3]).to(dtype)));
    }
    for (name, dtype, bits) in [("u8", U8, 8), ("u16", U16, 16), ("u32", U32, 32), ("u64", U64, 64)]
    {
        let high = u64::MAX >> (64 - bits);
        columns.push((name.into(), Tensor::from_vec(vec![high, 0, 5], [3]).to(dtype)));
    }
    let floats = |first| Tensor::from_vec(vec![first, f64::NAN, f64::NEG_INFINITY], [3]);
    columns.push(("f32".into(), floats(0.5).to(F32)));
    columns.push(("f64".into(), floats(0.1)));
    columns.push(("half".into(), tensor([0.5, 1.5, -2.0]).to(F16)));
    columns.push(("point".into(), Tensor::arange(6).reshape([3, 2]).to(I32)));
    let tensors: Vec<(&str, &Tensor)> = columns.iter().map(|(name, x)| (&name[..], x)).collect();
    write_parquet(&frame_of(&tensors)?, path)
}
