//! Elements of 1 and 2 bytes beside elements of 4 bytes in one kernel: the compiler agrees with
//! the reference interpreter, bit for bit.

use neurax_ir::{Builder, DType, Literal, Value, op::Direction};
use neurax_native::Native;
use neurax_testkit::conformance::check_exact;

const NARROW: [DType; 7] =
    [DType::U8, DType::I8, DType::U16, DType::I16, DType::F16, DType::BF16, DType::Bool];

/// The sizes of arrays: below, at and above a vector, and several of them.
const SIZES: [usize; 6] = [1, 3, 4, 7, 16, 101];

#[track_caller]
fn check(dtype: DType, n: usize, f: impl FnOnce(&mut Builder, Value) -> Vec<Value>) {
    let number = |k: usize| match dtype {
        DType::Bool => k.is_multiple_of(3) as u8 as f64,
        DType::I32 => (k * 2654435761 % 1_000_000_007) as f64 - 5e8,
        _ => {
            (k * 37 % 256) as f64
                - if dtype.int_range().is_some_and(|r| *r.start() < 0) { 128.0 } else { 0.0 }
        }
    };
    let x: Vec<f64> = (0..n).map(number).collect();
    let x = Literal::from_f64s(dtype, [n], &x);
    check_exact(&Native::new().unwrap(), &[x], |b, xs| f(b, xs[0]));
}

#[test]
fn narrow_elements_are_read() {
    for dtype in NARROW {
        for n in SIZES {
            check(dtype, n, |b, x| {
                let y = b.convert(x, DType::F32);
                vec![b.mul_scalar(y, 0.5)]
            });
        }
    }
}

#[test]
fn narrow_elements_are_written() {
    for dtype in NARROW {
        for n in SIZES {
            check(DType::I32, n, |b, x| {
                let one = b.full_like(x, 1.0);
                let y = b.add(x, one);
                match dtype {
                    DType::Bool => vec![b.compare(Direction::Lt, x, one), y],
                    _ => vec![b.convert(y, dtype), y],
                }
            });
        }
    }
}

#[test]
fn integers_that_are_narrowed_and_widened_wrap() {
    for dtype in NARROW.into_iter().filter(|dtype| dtype.is_int()) {
        for n in SIZES {
            check(DType::I32, n, |b, x| {
                let narrow = b.convert(x, dtype);
                let wide = b.convert(narrow, DType::I32);
                let y = b.add(wide, x);
                vec![y, b.convert(narrow, DType::F32), narrow]
            });
        }
    }
}
