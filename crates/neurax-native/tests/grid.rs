//! Products of all layouts and of sizes around tile boundaries, with and without an epilogue, equal
//! those of the reference interpreter bit for bit: sums of products of small integers are exact.

use neurax_ir::{Builder, DType, Graph, Literal, Type, op::DotGeneral, transform};
use neurax_native::Native;
use neurax_testkit::conformance::evaluate;

/// A product: its sizes, and which operands are transposed.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: &'static [usize],
    sizes: [usize; 3],
    transposed: [bool; 2],
    dtype: DType,
}

impl Case {
    /// Returns the shapes of both operands and the axis of each that is contracted.
    fn operands(&self) -> [(Vec<usize>, usize); 2] {
        let ([m, n, k], at) = (self.sizes, self.batch.len());
        let of = |rows: usize, columns: usize, swapped: bool| {
            [self.batch, &if swapped { [columns, rows] } else { [rows, columns] }].concat()
        };
        let [left, right] = self.transposed;
        [(of(m, k, left), at + !left as usize), (of(k, n, right), at + right as usize)]
    }

    fn graph(&self, follows: bool) -> Graph {
        let [(l, lc), (r, rc)] = self.operands();
        let n = self.sizes[1];
        let mut b = Builder::new();
        let xs = b.inputs(&[l, r, vec![n]].map(|shape| Type::new(self.dtype, shape)));
        let batch: Vec<usize> = (0..self.batch.len()).collect();
        let op = DotGeneral {
            lhs_batch: batch.clone(),
            rhs_batch: batch,
            lhs_contract: vec![lc],
            rhs_contract: vec![rc],
            dtype: self.dtype,
        };
        let y = b.emit(op, &xs[..2]);
        if !follows {
            return b.finish(&[y]).unwrap();
        }
        // A bias for each column, and the largest element of each row.
        let shape = b.ty(y).shape.clone();
        let columns = b.broadcast(xs[2], shape.clone(), &[shape.rank() - 1]);
        let z = b.add(y, columns);
        let most = b.reduce(neurax_ir::op::ReduceKind::Max, z, &[shape.rank() - 1]);
        b.finish(&[z, most]).unwrap()
    }
}

fn numbers(ty: &Type) -> Literal {
    let x: Vec<f64> =
        (0..ty.size()).map(|i| ((i * 2_654_435_761) >> 9) as f64 % 7.0 - 3.0).collect();
    Literal::from_f64s(ty.dtype, ty.shape.clone(), &x)
}

/// Compares a product, with its epilogue if it has one, with the reference interpreter.
fn check(native: &Native, case: Case, follows: bool) {
    let graph = case.graph(follows);
    let args: Vec<Literal> = graph.input_types().iter().map(numbers).collect();
    let want = transform::eval(&graph, args.clone()).unwrap();
    let have = evaluate(native, &graph, &args).unwrap();
    assert!(have == want, "{case:?}");
}

#[test]
fn products_agree_with_the_interpreter() {
    let wide = [
        [16, 16, 64],
        [17, 33, 65],
        [3, 3, 2000],
        [128, 128, 128],
        [129, 31, 47],
        [256, 300, 100],
        [40, 1030, 140],
        [1000, 20, 30],
    ];
    let narrow = [[40, 10, 64], [700, 15, 33], [1000, 3, 70]];
    let batches: [&'static [usize]; 4] = [&[], &[2], &[3, 2], &[0]];
    let native = Native::new().unwrap();
    let mut ran = 0;
    for (i, sizes) in wide.into_iter().chain(narrow).enumerate() {
        for batch in batches {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                // Every size with either dtype, but not with all layouts.
                let dtype = if (i + transposed[0] as usize).is_multiple_of(2) {
                    DType::F32
                } else {
                    DType::F64
                };
                check(&native, Case { batch, sizes, transposed, dtype }, transposed[1]);
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 176);
}

#[test]
fn few_long_columns_of_the_right_operand() {
    let native = Native::new().unwrap();
    for (dtype, follows) in [(DType::F32, false), (DType::F32, true), (DType::F64, false)] {
        check(
            &native,
            Case { batch: &[], sizes: [128, 64, 40_000], transposed: [false, true], dtype },
            follows,
        );
    }
}
