//! Tests of composites at extreme arguments, and of the names that transforms preserve.

use super::*;
use crate::{DType, passes};

fn eval(op: impl Into<Op>, xs: &[(&[usize], &[f64])]) -> Vec<f64> {
    let xs = xs.iter().map(|(shape, x)| Literal::from_f64s(DType::F64, *shape, x)).collect();
    op.into().eval(&mut Eval::default(), xs).unwrap()[0].to_f64s()
}

fn close(a: &[f64], b: &[f64]) {
    let near = |(a, b): (&f64, &f64)| a == b || (a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan());
    assert!(a.len() == b.len() && a.iter().zip(b).all(near), "{a:?} is not {b:?}");
}

const NEG_INF: f64 = f64::NEG_INFINITY;

#[test]
fn softmax_does_not_overflow() {
    let third = 1.0 / 3.0;
    close(&eval(Softmax { axis: 0 }, &[(&[3], &[1e300, 1e300, 1e300])]), &[third; 3]);
    close(&eval(Softmax { axis: 0 }, &[(&[3], &[NEG_INF, 0.0, NEG_INF])]), &[0.0, 1.0, 0.0]);
    close(
        &eval(LogSoftmax { axis: 0 }, &[(&[3], &[-1e300, 0.0, NEG_INF])]),
        &[-1e300, 0.0, NEG_INF],
    );
    let e = 1f64.exp();
    close(&eval(Softmax { axis: 1 }, &[(&[1, 2], &[0.0, 1.0])]), &[1.0 / (1.0 + e), e / (1.0 + e)]);
}

#[test]
fn logsumexp_of_negative_infinities_is_negative_infinity() {
    close(&eval(LogSumExp { axis: 0 }, &[(&[2], &[NEG_INF, NEG_INF])]), &[NEG_INF]);
    close(&eval(LogSumExp { axis: 0 }, &[(&[2], &[f64::INFINITY, 0.0])]), &[f64::INFINITY]);
    close(&eval(LogSumExp { axis: 1 }, &[(&[1, 2], &[1e300, 1e300])]), &[1e300]);
    close(&eval(LogSumExp { axis: 1 }, &[(&[2, 0], &[])]), &[NEG_INF; 2]);
    let g = graph(&LogSumExp { axis: 0 }.into(), &[Type::new(DType::F64, [2])]);
    let slopes = |x: &[f64]| {
        transform::eval(
            &transform::grad(&g, &[true]).unwrap(),
            vec![Literal::from_slice([2], x).unwrap()],
        )
        .unwrap()[1]
            .to_f64s()
    };
    close(&slopes(&[NEG_INF, NEG_INF]), &[0.0, 0.0]);
    close(&slopes(&[NEG_INF, 3.0]), &[0.0, 1.0]);
    assert!(slopes(&[f64::NAN, 3.0])[0].is_nan());
}

#[test]
fn logaddexp_keeps_infinities_and_nan() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x: &[f64] = &[NEG_INF, inf, NEG_INF, inf, nan, nan, 1e300];
    let y: &[f64] = &[NEG_INF, inf, 1.0, NEG_INF, inf, NEG_INF, 1e300];
    let want = [NEG_INF, inf, 1.0, inf, nan, nan, 1e300];
    close(&eval(LogAddExp {}, &[(&[7], x), (&[7], y)]), &want);
    let x = Type::new(DType::F32, [2]);
    let message = |y: Type| Named::infer(&LogAddExp {}, &[x.clone(), y]).unwrap_err().to_string();
    assert_eq!(
        message(x.with_dtype(DType::F64)),
        "logaddexp: add: the operands f32[2] and f64[2] differ in dtype; convert one of them first"
    );
    let e = Named::infer(&LogAddExp {}, &[x.with_dtype(DType::I32), x]).unwrap_err().to_string();
    assert_eq!(e, "logaddexp: expected a floating-point operand, got i32[2]; convert it first");
}

#[test]
fn gelu_is_flat_far_from_zero() {
    // The standard normal distribution function: phi(1) = 0.841344746068543.
    close(
        &eval(Gelu { approximate: false }, &[(&[3], &[1.0, -1e300, 1e300])]),
        &[0.841344746068543, 0.0, 1e300],
    );
    close(&eval(Gelu { approximate: true }, &[(&[2], &[-1e300, 1e300])]), &[0.0, 1e300]);
    for approximate in [false, true] {
        let g = graph(&Gelu { approximate }.into(), &[Type::scalar(DType::F32)]);
        let slope = |x: f64| {
            transform::eval(
                &transform::grad(&g, &[true]).unwrap(),
                vec![Literal::scalar(DType::F32, x)],
            )
            .unwrap()[1]
                .to_f64s()[0]
        };
        assert_eq!((slope(1e30), slope(-1e30), slope(0.0)), (1.0, 0.0, 0.5));
    }
}

#[test]
fn cross_entropy_ignores_impossible_classes() {
    let row: &[usize] = &[1, 3];
    close(
        &eval(CrossEntropy {}, &[(row, &[0.0, 0.0, NEG_INF]), (row, &[1.0, 0.0, 0.0])]),
        &[2f64.ln()],
    );
    close(
        &eval(CrossEntropy {}, &[(row, &[1000.0, 0.0, 0.0]), (row, &[0.0, 1.0, 0.0])]),
        &[1000.0],
    );
    let x = Type::new(DType::F32, [2, 3]);
    let e = Named::infer(&CrossEntropy {}, &[x.clone(), x.with_dtype(DType::I32)]).unwrap_err();
    assert_eq!(
        e.to_string(),
        "cross_entropy: expected targets of the logits' type f32[2, 3], got i32[2, 3]; \
         pass probabilities or one-hot rows of that type"
    );
    assert!(
        Named::infer(&CrossEntropy {}, &[Type::scalar(DType::F32), Type::scalar(DType::F32)])
            .is_err()
    );
}

#[test]
fn cumulative_accumulates_from_either_end() {
    use CumulativeKind::*;
    let x: &[f64] = &[3.0, -1.0, 4.0, 1.0, -5.0];
    let run = |kind, reverse| eval(Cumulative { kind, axis: 0, reverse }, &[(&[5], x)]);
    close(&run(Sum, false), &[3.0, 2.0, 6.0, 7.0, 2.0]);
    close(&run(Sum, true), &[2.0, -1.0, 0.0, -4.0, -5.0]);
    close(&run(Prod, false), &[3.0, -3.0, -12.0, -12.0, 60.0]);
    close(&run(Max, false), &[3.0, 3.0, 4.0, 4.0, 4.0]);
    close(&run(Min, true), &[-5.0; 5]);
    let last = eval(
        Cumulative { kind: LogSumExp, axis: 0, reverse: false },
        &[(&[3], &[NEG_INF, NEG_INF, 1.0])],
    );
    close(&last, &[NEG_INF, NEG_INF, 1.0]);
    close(
        &eval(Cumulative { kind: Sum, axis: 1, reverse: false }, &[(&[2, 3], &[1.0; 6])]),
        &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0],
    );
    let e = Named::infer(
        &Cumulative { kind: Sum, axis: 2, reverse: false },
        &[Type::new(DType::F32, [2])],
    )
    .unwrap_err();
    assert_eq!(e.to_string(), "cumulative: axis 2 is out of range for rank 1");
}

fn graph(op: &Op, types: &[Type]) -> Graph {
    let mut b = Builder::new();
    let xs = b.inputs(types);
    let ys = b.try_emit(op.clone(), &xs).unwrap();
    b.finish(&ys).unwrap()
}

#[test]
fn types_are_those_of_the_body() {
    for s in Composite::samples() {
        let Op::Composite(c) = &s.op else { continue };
        let types: Vec<Type> = s.inputs.iter().map(|x| x.ty().clone()).collect();
        assert_eq!(
            c.infer(&types).unwrap(),
            c.graph(&types).unwrap().output_types(),
            "{c:?} of {types:?}"
        );
    }
}

/// Returns the names of the outermost equations; for a linear one, the name of the function that it
/// differentiates. Linear equations of one function, for different results, are named once, without
/// the sum of the cotangents that they give.
fn names(g: &Graph) -> Vec<String> {
    let name = |e: &crate::Eqn| match &e.op {
        Op::Linear(l) => format!("d {}", l.callee),
        op => op.name().to_string(),
    };
    let mut names: Vec<String> = g.eqns().iter().map(name).collect();
    names.dedup_by(|a, b| b.starts_with("d ") && (a == b || a == "add"));
    names
}

/// The cotangent of the dense operand is the product with rows and columns exchanged; a batch is
/// one product.
#[test]
fn sparse_products_survive_the_transforms() {
    let (values, index) = (Type::new(DType::F32, [4]), Type::new(DType::I32, [4]));
    let types = [values, index.clone(), index, Type::new(DType::F32, [5, 2])];
    let g = graph(&SparseDot { rows: 3 }.into(), &types);
    let products = |g: &Graph| -> Vec<usize> {
        let rows = |e: &crate::Eqn| match &e.op {
            Op::Composite(Composite::SparseDot(op)) => Some(op.rows),
            _ => None,
        };
        g.eqns().iter().filter_map(rows).collect()
    };
    let of_dense = [false, false, false, true];
    let backward = passes::dce(&transform::vjp(&g, &of_dense).unwrap().backward).unwrap();
    assert_eq!(products(&backward), [5]);
    let forward = transform::jvp(&g, &[true, false, false, true]).unwrap().graph;
    assert_eq!(products(&forward), [3, 3, 3]);
    let batched = transform::vmap_all(&g, &Axis { size: 2, name: None }).unwrap();
    assert_eq!(products(&batched), [6]);
}

#[test]
fn names_survive_the_transforms() {
    // The tangent of a solution is a solution of the same name, and the derivative of the map.
    // That of a sparse product is one or two products.
    // A convolution with features last is made behind all transforms; its body has derivatives.
    let others = ["linear_solve", "sparse_dot", "channels_last_convolution"];
    let keeps = |s: &Sample| s.smooth && !others.contains(&s.op.name());
    for s in Composite::samples().into_iter().filter(keeps) {
        let types: Vec<Type> = s.inputs.iter().map(|x| x.ty().clone()).collect();
        let (g, name) = (graph(&s.op, &types), s.op.name().to_string());
        // A sum is linear: its tangent is the sum of the tangent.
        let sum = match &s.op {
            Op::Composite(Composite::Cumulative(c)) => c.kind == CumulativeKind::Sum,
            _ => false,
        };
        let tangent = if sum { name.clone() } else { format!("d {name}") };
        let active: Vec<bool> = types.iter().map(|t| t.dtype.is_differentiable()).collect();
        let forward = transform::jvp(&g, &active).unwrap().graph;
        let backward = passes::dce(&transform::vjp(&g, &active).unwrap().backward).unwrap();
        let axis = Axis { size: 2, name: None };
        let batched = |g: &Graph| transform::vmap_all(g, &axis).unwrap();
        for (transforms, graph, want) in [
            ("jvp", forward.clone(), vec![name.clone(), tangent.clone()]),
            ("vjp", backward.clone(), vec![tangent.clone()]),
            ("vmap", batched(&g), vec![name.clone()]),
            ("vmap of jvp", batched(&forward), vec![name.clone(), tangent.clone()]),
            ("vmap of vjp", batched(&backward), vec![tangent.clone()]),
            ("vmap of vmap", batched(&batched(&g)), vec![name.clone()]),
            (
                "vjp of vmap",
                passes::dce(&transform::vjp(&batched(&g), &active).unwrap().backward).unwrap(),
                vec![tangent.clone()],
            ),
        ] {
            assert_eq!(names(&graph), want, "{transforms} of {name}:\n{graph}");
        }
    }
}

/// Returns the values and the gradients of the sum of the results of `op`.
fn value_and_grad(op: &Op, xs: &[Literal]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let types: Vec<Type> = xs.iter().map(|x| x.ty().clone()).collect();
    let g = graph(op, &types);
    let value = transform::eval(&g, xs.to_vec()).unwrap()[0].to_f64s();
    let mut b = Builder::new();
    let args = b.inputs(&types);
    let y = b.inline(&g, &args)[0];
    let axes: Vec<usize> = (0..b.ty(y).rank()).collect();
    let total = b.sum(y, &axes);
    let total = b.finish(&[total]).unwrap();
    let grad = transform::grad(&total, &vec![true; types.len()]).unwrap();
    let grads = transform::eval(&grad, xs.to_vec()).unwrap();
    (value, grads[1..].iter().map(Literal::to_f64s).collect())
}

/// A result of a narrow composite is that of f32, rounded once: nothing inside overflows, and no
/// intermediate rounding is visible.
#[test]
fn narrow_floats_are_computed_in_f32() {
    let many = vec![0.0; 70_000];
    let (epsilon, deviations) = (1e-5.into(), vec![300.0, -300.0, 100.0, 0.5]);
    let weights = vec![2.0, 0.5, -1.0, 3.0];
    let rows: [(Op, Vec<Vec<f64>>); 12] = [
        (Softmax { axis: 0 }.into(), vec![many.clone()]),
        (LogSoftmax { axis: 0 }.into(), vec![many.clone()]),
        (LogSumExp { axis: 0 }.into(), vec![many]),
        (LogSumExp { axis: 0 }.into(), vec![vec![1000.0, 1000.0, 999.0]]),
        (CrossEntropy {}.into(), vec![vec![300.0, 299.0, -300.0], vec![0.5, 0.25, 0.25]]),
        (Gelu { approximate: true }.into(), vec![vec![-3.0, 0.1, 60.0, -300.0]]),
        (Gelu { approximate: false }.into(), vec![vec![-3.0, 0.1, 60.0, -300.0]]),
        (
            LayerNormalization { epsilon, scale: false, bias: false }.into(),
            vec![deviations.clone()],
        ),
        (
            LayerNormalization { epsilon, scale: true, bias: true }.into(),
            vec![deviations.clone(), weights.clone(), weights.clone()],
        ),
        (RmsNormalization { epsilon, scale: true }.into(), vec![deviations, weights]),
        (Silu {}.into(), vec![vec![-9.0, 0.1, 60.0, -300.0]]),
        (
            Cumulative { kind: CumulativeKind::Sum, axis: 0, reverse: false }.into(),
            vec![vec![0.1; 500]],
        ),
    ];
    for (op, xs) in rows {
        for dtype in [DType::F16, DType::BF16] {
            let literal = |d: DType, x: &[f64]| Literal::from_f64s(d, [x.len()], x);
            let rounded = |x: &Vec<f64>| literal(dtype, x).to_f64s();
            let narrow: Vec<Literal> = xs.iter().map(|x| literal(dtype, x)).collect();
            let wide: Vec<Literal> =
                narrow.iter().map(|x| literal(DType::F32, &x.to_f64s())).collect();
            let ((y, dx), (want, d_want)) =
                (value_and_grad(&op, &narrow), value_and_grad(&op, &wide));
            assert_eq!(y, rounded(&want), "{op:?} in {dtype}");
            let pairs = dx.iter().flatten().zip(d_want.iter().flat_map(rounded));
            for (d, want) in pairs.collect::<Vec<_>>() {
                let error = (d - want).abs() / want.abs().max(1e-2);
                assert!(error < 0.02, "{op:?} in {dtype}: slope {d}, not {want}");
            }
        }
    }
}

fn attention(op: DotProductAttention, shapes: &[&[usize]], types: &[DType]) -> Graph {
    let types = shapes.iter().zip(types).map(|(s, &d)| Type::new(d, *s));
    graph(&op.into(), &types.collect::<Vec<_>>())
}

#[test]
fn attention_keeps_its_operands_only_and_has_five_products_in_reverse() {
    let shapes: [&[usize]; 3] = [&[2, 64, 4, 8], &[2, 64, 2, 8], &[2, 64, 2, 8]];
    let op = DotProductAttention { after: Some(0), ..DotProductAttention::scaled(0.5) };
    let g = attention(op, &shapes, &[DType::F32; 3]);
    let d = transform::vjp(&g, &[true; 3]).unwrap();
    let outputs = d.primal.output_types();
    let residuals: Vec<usize> = outputs[1..].iter().map(Type::size).collect();
    assert_eq!(residuals, shapes.map(|s| s.iter().product::<usize>()));
    assert!(residuals.iter().all(|&n| n < 2 * 4 * 64 * 64));
    // The scores again, and the derivatives by the value, the probabilities, query and key.
    let backward = passes::optimize(&d.backward, &mut |_, _| {}).unwrap();
    let graphs: Vec<_> = backward.eqns().iter().map(|e| e.op.graphs()).collect();
    let products = |g: &Graph| g.eqns().iter().filter(|e| e.op.name() == "dot_general").count();
    let [transposed, ..] = &graphs[0][..] else { panic!("expected one linear map: {backward}") };
    assert_eq!(products(transposed), 5, "{transposed}");
}

#[test]
fn a_query_without_keys_has_the_result_zero_and_no_gradient() {
    let op = DotProductAttention { mask: true, bias: true, ..DotProductAttention::scaled(1.0) };
    let shapes: [&[usize]; 5] = [&[3, 1, 1], &[2, 1, 1], &[2, 1, 1], &[1, 3, 2], &[1, 3, 2]];
    let types = [DType::F64, DType::F64, DType::F64, DType::Bool, DType::F64];
    let values: [&[f64]; 5] = [
        &[1.0, 1.0, f64::NAN],
        &[1.0, 2.0],
        &[3.0, 4.0],
        &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        &[0.0, 0.0, NEG_INF, NEG_INF, 0.0, 0.0],
    ];
    let g = attention(op, &shapes, &types);
    let mut b = Builder::new();
    let xs = b.inputs(g.input_types());
    let y = b.inline(&g, &xs)[0];
    let first = b.slice_axis(y, 0, 0, 2);
    let total = b.sum(first, &[0, 1, 2]);
    let g = b.finish(&[total, y]).unwrap();
    let literal = |((s, &d), v): ((&&[usize], &DType), &&[f64])| Literal::from_f64s(d, *s, v);
    let args: Vec<Literal> = shapes.iter().zip(&types).zip(&values).map(literal).collect();
    let d = transform::grad(&g, &[true, true, true, false, false]).unwrap();
    let out = transform::eval(&d, args).unwrap();
    let y = out[1].to_f64s();
    assert!(y[..2] == [0.0; 2] && y[2].is_nan(), "{y:?}");
    assert_eq!(out[2].to_f64s()[..2], [0.0; 2]);
}

#[test]
fn attention_refuses_shapes_that_do_not_fit() {
    let plain = DotProductAttention::scaled(1.0);
    let message = |op: &DotProductAttention, shapes: &[&[usize]]| {
        let types: Vec<Type> = shapes.iter().map(|s| Type::new(DType::F32, *s)).collect();
        Named::infer(op, &types).unwrap_err().to_string()
    };
    let (q, k): (&[usize], &[usize]) = (&[2, 3, 8], &[5, 2, 8]);
    for (op, shapes, part) in [
        (plain.clone(), vec![q, k], "expected 3 operands, got 2"),
        (plain.clone(), vec![&[3, 8], k, k], "[batch .., length, heads, depth] of one dtype"),
        (plain.clone(), vec![q, k, &[4, 2, 8]], "equal lengths and heads"),
        (plain.clone(), vec![q, k, k], "a multiple of the 2 heads of the key, got 3"),
        (
            DotProductAttention { soft_cap: Some(0.0.into()), ..plain.clone() },
            vec![q, q, q],
            "expected a soft cap above 0, got 0.0",
        ),
        (
            DotProductAttention { dropout: Some(1.0.into()), ..plain.clone() },
            vec![q, q, q, &[3, 2, 2]],
            "expected a dropout rate in 0..1, got 1.0",
        ),
        (
            DotProductAttention { bias: true, ..plain.clone() },
            vec![q, q, q, &[3, 2, 5]],
            "expected a bias f32[3, 2, 2], where sizes may be 1, got f32[3, 2, 5]",
        ),
        (
            DotProductAttention { mask: true, ..plain },
            vec![q, q, q, &[3, 2, 2]],
            "expected a mask bool[3, 2, 2], where sizes may be 1, got f32[3, 2, 2]",
        ),
    ] {
        let e = message(&op, &shapes);
        assert!(e.starts_with("dot_product_attention: ") && e.contains(part), "{e}");
    }
}

#[test]
fn row_norms_refuse_weights_that_do_not_fit() {
    let op = LayerNormalization { epsilon: 1e-5.into(), scale: true, bias: false };
    let x = Type::new(DType::F16, [2, 3]);
    let message = |op: &LayerNormalization, w: Type| {
        Named::infer(op, &[x.clone(), w]).map_or_else(|e| e.to_string(), |_| String::new())
    };
    for (dtype, shape) in [(DType::F16, &[3][..]), (DType::F32, &[3]), (DType::F32, &[2, 3])] {
        assert_eq!(message(&op, Type::new(dtype, shape)), "");
    }
    for w in [
        Type::new(DType::F16, [1]),
        Type::new(DType::F64, [3]),
        Type::new(DType::F16, [3, 3]),
        Type::scalar(DType::F16),
        Type::new(DType::F16, [1, 2, 3]),
    ] {
        let want = format!("layer_norm: expected a scale f16[3] for f16[2, 3], got {w}");
        assert_eq!(message(&op, w), want);
    }
    let op = LayerNormalization { epsilon: (-1.0).into(), ..op };
    let want = "layer_norm: expected an epsilon of at least 0, got -1.0";
    assert_eq!(message(&op, Type::new(DType::F16, [3])), want);
}

#[test]
fn sparse_cross_entropy_is_nan_without_gradient_where_a_label_is_out_of_range() {
    let x: &[f64] = &[0.0, 1000.0, NEG_INF, 1000.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let (shape, rows): (&[usize], &[usize]) = (&[4, 3], &[4]);
    let types = [Type::new(DType::F64, shape), Type::new(DType::U32, rows)];
    let labels = Literal::from_slice([4], &[0, 0, 3, u32::MAX]).unwrap();
    let args = [Literal::from_f64s(DType::F64, shape, x), labels];
    let op = SparseCrossEntropy {};
    let (y, d) = value_and_slopes(&op.into(), &types, &args);
    close(&y, &[1000.0, 0.0, f64::NAN, f64::NAN]);
    close(&d[..6], &[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(d[6..], [0.0; 6]);
}

/// Returns the values of `op`, and the gradient of their sum by the first operand.
fn value_and_slopes(op: &Op, types: &[Type], args: &[Literal]) -> (Vec<f64>, Vec<f64>) {
    let y = op.eval(&mut Eval::default(), args.to_vec()).unwrap()[0].to_f64s();
    let mut active = vec![false; types.len()];
    active[0] = true;
    let vjp = transform::vjp(&graph(op, types), &active).unwrap();
    let mut residuals = transform::eval(&vjp.primal, args.to_vec()).unwrap();
    residuals.remove(0);
    residuals.push(Literal::from_f64s(DType::F64, [y.len()], &vec![1.0; y.len()]));
    (y, transform::eval(&vjp.backward, residuals).unwrap()[0].to_f64s())
}

#[test]
fn sparse_cross_entropy_refuses_other_labels() {
    let x = Type::new(DType::F32, [2, 3]);
    for labels in [Type::new(DType::F32, [2]), Type::new(DType::I32, [2, 3])] {
        let e = Named::infer(&SparseCrossEntropy {}, &[x.clone(), labels.clone()]).unwrap_err();
        let want = "sparse_cross_entropy: expected integer labels such as i32[2] for f32[2, 3]";
        assert_eq!(e.to_string(), format!("{want}, got {labels}"));
    }
    let scalar = Type::scalar(DType::F32);
    assert!(Named::infer(&SparseCrossEntropy {}, &[scalar.clone(), scalar]).is_err());
}

#[test]
fn batch_norm_refuses_axes_and_vectors_that_do_not_fit() {
    let x = Type::new(DType::F32, [2, 3]);
    let message = |axis, batch, n: usize| {
        let op = BatchNormTraining { axis, batch, epsilon: 1e-5.into() };
        let w = Type::new(DType::F32, [n]);
        Named::infer(&op, &[x.clone(), w.clone(), w]).unwrap_err().to_string()
    };
    for (e, part) in [
        (message(2, 0, 3), "axis 2 is out of range for rank 2"),
        (message(0, 1, 2), "expected the axis of the channels behind 1 batch axes, got axis 0"),
        (message(1, 0, 2), "expected a scale f32[3] for f32[2, 3], got f32[2]"),
    ] {
        assert!(e.starts_with("batch_norm_training: ") && e.contains(part), "{e}");
    }
}
