//! Attention.

use super::*;

fn product(batch: usize) -> DotGeneral {
    let axes: Vec<usize> = (0..batch).collect();
    DotGeneral {
        lhs_batch: axes.clone(),
        rhs_batch: axes,
        lhs_contract: vec![batch + 1],
        rhs_contract: vec![batch],
        dtype: DType::F32,
    }
}

fn softmax(b: &mut Builder, x: Value) -> Value {
    let axis = b.ty(x).rank() - 1;
    b.emit(crate::composite::Softmax { axis }, &[x])
}

fn heads(b: &mut Builder, x: Value) -> Value {
    let x = b.reshape(x, [2, 5, 3, 4]);
    b.transpose(x, &[0, 2, 1, 3])
}

/// Emits attention of three heads; `scores` gets queries and transposed keys.
fn attention_of(
    b: &mut Builder,
    x: &[Value],
    scores: &dyn Fn(&mut Builder, Value, Value) -> Value,
) -> Value {
    let [q, k, v] = [0, 1, 2].map(|i| heads(b, x[i]));
    let k = b.transpose(k, &[0, 1, 3, 2]);
    let s = scores(b, q, k);
    let p = softmax(b, s);
    let y = b.emit(product(2), &[p, v]);
    let y = b.transpose(y, &[0, 2, 1, 3]);
    b.reshape(y, [2, 5, 12])
}

fn line(scale: &str, query_scale: Option<&str>) -> String {
    let split =
        |i: usize| format!("%{}: f32[2, 5, 3, 4] = reshape[shape=[2, 5, 3, 4]](%{i}); ", i + 3);
    let splits: Vec<String> = (0..3).map(split).collect();
    let attention = |first: usize, query: usize, key: usize| {
        format!(
            "%{first}: f32[2, 5, 3, 4] = dot_product_attention[scale={scale}, before=none, \
             after=none, soft_cap=none, mask=false, bias=false, dropout=none](%{query}, %{key}, \
             %{}); %{}: f32[2, 5, 12] = reshape[shape=[2, 5, 12]](%{first}); return %{}",
            key + 1,
            first + 1,
            first + 1
        )
    };
    let Some(factor) = query_scale else {
        return splits.concat() + &attention(6, 3, 4);
    };
    let scaled = format!(
        "%4: f32[] = constant[value=f32[] {factor}](); \
         %5: f32[2, 5, 3, 4] = broadcast_in_dim[shape=[2, 5, 3, 4], dims=[]](%4); \
         %6: f32[2, 5, 3, 4] = multiply(%3, %5); "
    );
    let rest = [1, 2]
        .map(|i| format!("%{}: f32[2, 5, 3, 4] = reshape[shape=[2, 5, 3, 4]](%{i}); ", i + 6));
    splits[0].clone() + &scaled + &rest.concat() + &attention(9, 6, 7)
}

#[test]
fn scores_queries_or_keys_are_scaled() {
    let x = [f32s(&[2, 5, 12]), f32s(&[2, 5, 12]), f32s(&[2, 5, 12])];
    becomes("attention 1", &line("0.5", None), &x, &|b, x| {
        attention_of(b, x, &|b, q, k| {
            let s = b.emit(product(2), &[q, k]);
            divided(b, s, 2.0)
        })
    });
    becomes("attention 1", &line("1.0", Some("0.5")), &x, &|b, x| {
        attention_of(b, x, &|b, q, k| {
            let q = b.mul_scalar(q, 0.5);
            b.emit(product(2), &[q, k])
        })
    });
    becomes("attention 1", &line("1.0", Some("0.25")), &x, &|b, x| {
        attention_of(b, x, &|b, q, k| {
            let (q, k) = (b.mul_scalar(q, 0.5), b.mul_scalar(k, 0.5));
            b.emit(product(2), &[q, k])
        })
    });
    becomes("attention 1", &line("1.0", None), &x, &|b, x| {
        attention_of(b, x, &|b, q, k| b.emit(product(2), &[q, k]))
    });
}

#[test]
fn one_head_and_one_batch_axis() {
    let want = "%3: f32[5, 3, 4] = transpose[permutation=[1, 0, 2]](%0); \
                %4: f32[5, 3, 4] = transpose[permutation=[1, 0, 2]](%1); \
                %5: f32[5, 3, 4] = transpose[permutation=[1, 0, 2]](%2); \
                %6: f32[5, 3, 4] = dot_product_attention[scale=1.0, before=none, after=none, \
                soft_cap=none, mask=false, bias=false, dropout=none](%3, %4, %5); \
                %7: f32[3, 5, 4] = transpose[permutation=[1, 0, 2]](%6); return %7";
    let x = [f32s(&[3, 5, 4]), f32s(&[3, 5, 4]), f32s(&[3, 5, 4])];
    becomes("attention 1", want, &x, &|b, x| {
        let k = b.transpose(x[1], &[0, 2, 1]);
        let s = b.emit(product(1), &[x[0], k]);
        let p = softmax(b, s);
        b.emit(product(1), &[p, x[2]])
    });
    let want = "%3: f32[5, 1, 4] = reshape[shape=[5, 1, 4]](%0); \
                %4: f32[5, 1, 4] = reshape[shape=[5, 1, 4]](%1); \
                %5: f32[5, 1, 4] = reshape[shape=[5, 1, 4]](%2); \
                %6: f32[5, 1, 4] = dot_product_attention[scale=1.0, before=none, after=none, \
                soft_cap=none, mask=false, bias=false, dropout=none](%3, %4, %5); \
                %7: f32[1, 5, 4] = transpose[permutation=[1, 0, 2]](%6); \
                %8: f32[5, 4] = reshape[shape=[5, 4]](%7); return %8";
    let x = [f32s(&[5, 4]), f32s(&[5, 4]), f32s(&[5, 4])];
    becomes("attention 1", want, &x, &|b, x| {
        let k = b.transpose(x[1], &[1, 0]);
        let s = b.emit(product(0), &[x[0], k]);
        let p = softmax(b, s);
        b.emit(product(0), &[p, x[2]])
    });
}

/// Emits scores that are negative infinity where the mask is false.
fn masked(b: &mut Builder, mask: Value, s: Value) -> Value {
    let ty = Type::new(DType::F32, b.ty(mask).shape.clone());
    let (zero, lowest) = (b.full(ty.clone(), 0.0), b.full(ty, f64::NEG_INFINITY));
    let bias = b.select(mask, zero, lowest);
    let shape = b.ty(s).shape.clone();
    let bias = b.broadcast(bias, shape, &[0, 1, 2, 3]);
    b.add(s, bias)
}

#[test]
fn a_mask_with_zeros_instead_of_nan() {
    let of = |b: &mut Builder, x: &[Value], is_guarded: bool| {
        let [q, k, v] = [0, 1, 2].map(|i| heads(b, x[i]));
        let k = b.transpose(k, &[0, 1, 3, 2]);
        let s = b.emit(product(2), &[q, k]);
        let s = masked(b, x[3], s);
        let mut p = softmax(b, s);
        if is_guarded {
            let is_nan = b.emit(Compare { direction: Direction::Ne }, &[p, p]);
            let zero = b.full_like(p, 0.0);
            p = b.select(is_nan, zero, p);
        }
        b.emit(product(2), &[p, v])
    };
    let x = f32s(&[2, 5, 12]);
    let types = [x.clone(), x.clone(), x, Type::new(DType::Bool, [2, 1, 5, 5])];
    let (names, text) = rewritten_line(&types, &|b, x| of(b, x, true));
    assert_eq!(names, "attention 1");
    assert!(text.contains("mask=true, bias=false, dropout=none](%4, %5, %6, %3)"), "{text}");
    let (names, _) = rewritten_line(&types, &|b, x| of(b, x, false));
    assert_eq!(names, "transpose_into_product 2");
}
