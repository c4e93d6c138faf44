//! Products with weights that are packed in bytes, and rows of such tables, as language models have
//! them in ONNX Runtime.
//!
//! Numbers of few bits are packed in blocks, each with a scale. Weights are unpacked before the
//! product, in f32:
//!
//! ```text
//! MatMulNBits           integers of 2 to 8 bits, low bits first, with zero points
//! MatMulBnb4            indices into 16 floats, high bits first
//! MatMulFpQ4            blocks of a scale, a zero point and bytes; a byte has numbers i and i + 16
//! GatherBlockQuantized  rows of a table of integers or narrow floats
//! ```

use super::axes::{axis_of, size_of};
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{MICROSOFT, Operator, op};
use neurax_tensor::{DType, Tensor, concat, stack, where_};

pub(crate) const OPERATORS: &[Operator] = &[
    op("GatherBlockQuantized", &[1], 3..=4, gather).domain(MICROSOFT).attributes(&[
        "bits",
        "block_size",
        "gather_axis",
        "quantize_axis",
    ]),
    op("MatMulBnb4", &[1], 3..=3, matmul_bnb4).domain(MICROSOFT).attributes(&[
        "K",
        "N",
        "block_size",
        "quant_type",
        "training_mode",
        "transB",
    ]),
    op("MatMulFpQ4", &[1], 3..=3, matmul_q4).domain(MICROSOFT).attributes(&["blk_quant_type"]),
    op("MatMulNBits", &[1], 3..=6, matmul_n_bits).domain(MICROSOFT).attributes(&[
        "K",
        "N",
        "accuracy_level",
        "bits",
        "block_size",
        "weight_prepacked",
    ]),
];

/// The numbers of FP4, a float of 4 bits, by code without sign: those of bitsandbytes, divided by
/// the largest one.
const FP4: [f32; 8] =
    [0.0, 5.208_333_3e-3, 0.666_666_7, 1.0, 0.333_333_34, 0.5, 0.166_666_67, 0.25];

/// The numbers of NF4: quantiles of the normal distribution, by code (Dettmers et al., QLoRA,
/// <https://arxiv.org/abs/2305.14314>).
const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Multiplies with the transposed weights `[N, K]`, packed as `[N, blocks, bytes]`.
fn matmul_n_bits(c: &NodeCall) -> RuleOutcome {
    // `accuracy_level` allows sums of lower precision; these are not.
    c.int("accuracy_level")?;
    if c.int_or("weight_prepacked", 0)? != 0 {
        return fail("weights in a layout of a GPU are not supported; export without prepacking");
    }
    let [n, k, block] = [required(c, "N")?, required(c, "K")?, required(c, "block_size")?];
    let bits = size_of(c.int_or("bits", 4)?)?;
    if !(1..=8).contains(&bits) || block == 0 {
        return fail(format!("expected blocks of numbers of 1 to 8 bits, got {block} of {bits}"));
    }
    let (x, bytes, scales) = (c.x(0)?, c.x(1)?, c.x(2)?);
    let y = match bytes.size() {
        // Without weights the product is 0.
        0 => {
            let mut shape = x.shape().to_vec();
            if let Some(last) = shape.last_mut() {
                *last = n;
            }
            Tensor::zeros_of(x.dtype(), shape)
        }
        _ => {
            let (blocks, size) = (k.div_ceil(block), block.saturating_mul(bits).div_ceil(8));
            let bytes = shaped(&bytes, &[n, blocks, size])?;
            let numbers = unpacked(&bytes, bits)?.slice(-1, ..block as i64);
            let numbers = numbers.reshape([n, blocks.saturating_mul(block)]);
            let scales = shaped(&scales, &[n, blocks])?;
            let zeros = zeros_of_blocks(c, [n, blocks], bits)?;
            let groups = c.maybe(4)?;
            let each = |p: &Tensor| match &groups {
                Some(groups) => p.take(groups.slice(0, ..k as i64), 1),
                None => p.repeat(block, 1).slice(1, ..k as i64),
            };
            let numbers = numbers.slice(1, ..k as i64).to(DType::F32);
            let weights = (numbers - each(&zeros)) * each(&scales.to(DType::F32));
            x.to(DType::F32).matmul(weights.t()).to(x.dtype())
        }
    };
    one(match c.maybe(5)? {
        Some(bias) => y + shaped(&bias, &[n])?,
        None => y,
    })
}

/// Returns the zero points of blocks as f32: packed integers, floats, or by default half of the
/// range.
fn zeros_of_blocks(c: &NodeCall, shape: [usize; 2], bits: usize) -> Result<Tensor, RuleFailure> {
    let [n, blocks] = shape;
    match c.maybe(3)? {
        None => Ok(Tensor::full_of(DType::F32, shape, f64::from(1 << (bits - 1)))),
        Some(zeros) if zeros.dtype() == DType::U8 => {
            let bytes = shaped(&zeros, &[n, blocks.saturating_mul(bits).div_ceil(8)])?;
            Ok(unpacked(&bytes, bits)?.slice(1, ..blocks as i64).to(DType::F32))
        }
        Some(zeros) => Ok(shaped(&zeros, &shape)?.to(DType::F32)),
    }
}

/// Multiplies with weights that are indices into 16 floats, in blocks with a scale each.
fn matmul_bnb4(c: &NodeCall) -> RuleOutcome {
    // Only the backward pass of a training would differ.
    c.int("training_mode")?;
    let [n, k, block] = [required(c, "N")?, required(c, "K")?, required(c, "block_size")?];
    let table = match c.required("quant_type", c.int("quant_type")?)? {
        0 => [FP4, FP4.map(|x| -x)].concat(),
        1 => NF4.to_vec(),
        other => return fail(format!("expected `quant_type` 0 (FP4) or 1 (NF4), got {other}")),
    };
    if block == 0 {
        return fail("expected blocks of at least one number, got `block_size` 0");
    }
    let (x, scales) = (c.x(0)?, c.x(2)?);
    let count = n.saturating_mul(k);
    let bytes = shaped(&c.x(1)?, &[count.div_ceil(2)])?;
    let scales = shaped(&scales, &[count.div_ceil(block)])?.to(DType::F32);
    // The first of two numbers is in the high bits.
    let codes = stack([bytes.right_shift(4), bytes & 15], 1).flatten();
    let numbers = Tensor::from_slice(&table, table.len()).take(codes.to(DType::I32), 0);
    let end = count as i64;
    let scales = scales.repeat(block.min(count), 0).slice(0, ..end);
    let weights = (numbers.slice(0, ..end) * scales).reshape([n, k]);
    let weights = if c.flag("transB", true)? { weights.t() } else { weights };
    one(x.to(DType::F32).matmul(weights).to(x.dtype()))
}

/// Multiplies with the weights `[K, N]`, packed column by column in blocks: a scale, which is an
/// f32, for some types a zero point, and 16 bytes for each 32 numbers.
fn matmul_q4(c: &NodeCall) -> RuleOutcome {
    let (size, has_zero) = match c.int_or("blk_quant_type", 1)? {
        0 => (32, false),
        1 => (32, true),
        2 => (64, false),
        other => return fail(format!("expected `blk_quant_type` 0, 1 or 2, got {other}")),
    };
    let [k, n] = c.known_ints(2)?.unwrap_or_default()[..] else {
        return fail("expected the shape of a matrix as input 2");
    };
    let (k, n) = (size_of(k)?, size_of(n)?);
    let (blocks, header) = (k.div_ceil(size), 4 + usize::from(has_zero));
    let blobs = shaped(&c.x(1)?, &[n, blocks, header + size / 2])?;
    let part = |range: std::ops::Range<usize>| blobs.slice(2, range.start as i64..range.end as i64);
    let wide = part(0..4).to(DType::U32);
    let shifts = Tensor::from_slice(&[0u32, 8, 16, 24], 4);
    let scales = wide.left_shift(shifts).sum(2).bitcast(DType::F32).reshape([n, blocks, 1]);
    let zeros = match has_zero {
        true => part(4..5).to(DType::F32),
        false => Tensor::full([1, 1, 1], 8.0),
    };
    // 16 bytes have the numbers 0 to 15 in their low bits, and 16 to 31 in their high ones.
    let bytes = part(header..header + size / 2).reshape([n, blocks, size / 32, 16]);
    let numbers = concat([&bytes & 15, bytes.right_shift(4)], 3).reshape([n, blocks, size]);
    let weights = (numbers.to(DType::F32) - zeros) * scales;
    let weights = weights.reshape([n, blocks * size]).slice(1, ..k as i64);
    let x = c.x(0)?;
    one(x.to(DType::F32).matmul(weights.t()).to(x.dtype()))
}

/// Returns rows of a quantized table, as floats; those at indices out of range are 0.
fn gather(c: &NodeCall) -> RuleOutcome {
    let (data, indices, scales) = (c.x(0)?, c.x(1)?, c.x(2)?);
    if !indices.dtype().is_int() || scales.rank() != data.rank() {
        return fail(format!("expected indices, and scales of {}", data.ty()?));
    }
    let along = axis_of(c.int_or("gather_axis", 0)?, data.rank())?;
    let quantized = axis_of(c.int_or("quantize_axis", 1)?, data.rank())?;
    let table = CodeTable::of(c, &data, scales, quantized)?;
    let size = data.dim(along as i64) as i64;
    let is_in = indices.ge(-size).logical_and(indices.lt(size));
    let places = indices.lt(0).select(&indices + size, &indices);
    let y = match along == quantized {
        true => table.floats()?.take(&places, along as i64),
        // The blocks lie within a row: only the rows that are wanted are converted.
        false => table.rows(&places, along).floats()?,
    };
    let behind = vec![1; data.rank() - 1 - along];
    let is_in = is_in.reshape([&indices.shape()[..], &behind].concat());
    one(where_(&is_in, &y, y.zeros_like()))
}

/// A table of quantized numbers.
struct CodeTable {
    numbers: Tensor,
    scales: Tensor,
    zeros: Option<Tensor>,
    /// The bits of a number if several are packed in a byte along the last axis.
    packed_bits: Option<usize>,
    /// The axis of the blocks.
    axis: usize,
    block: usize,
}

impl CodeTable {
    fn of(
        c: &NodeCall,
        data: &Tensor,
        scales: Tensor,
        axis: usize,
    ) -> Result<CodeTable, RuleFailure> {
        let (block, bits) =
            (size_of(c.int_or("block_size", 128)?)?, size_of(c.int_or("bits", 4)?)?);
        let is_bytes = data.dtype() == DType::U8;
        if is_bytes && (!matches!(bits, 2 | 4 | 8) || axis + 1 != data.rank()) {
            return fail(format!("expected 2, 4 or 8 bits along the last axis, got {bits}"));
        }
        let default = is_bytes.then(|| {
            let half = 1i64 << (bits - 1);
            Tensor::full_of(DType::F32, vec![1; data.rank()], half)
        });
        Ok(CodeTable {
            numbers: data.clone(),
            zeros: c.maybe(3)?.or(default),
            packed_bits: is_bytes.then_some(bits),
            scales,
            axis,
            block,
        })
    }

    /// Returns the rows at places along an axis, whose axes replace it.
    fn rows(self, places: &Tensor, along: usize) -> CodeTable {
        let rows = |x: &Tensor| x.take(places, along as i64);
        let axis = match self.axis > along {
            true => self.axis + places.rank() - 1,
            false => self.axis,
        };
        CodeTable {
            numbers: rows(&self.numbers),
            scales: rows(&self.scales),
            zeros: self.zeros.as_ref().map(rows),
            axis,
            ..self
        }
    }

    /// Returns the numbers minus the zero points, times the scales, in the dtype of the scales.
    fn floats(&self) -> Result<Tensor, RuleFailure> {
        let unpack = |x: &Tensor| match self.packed_bits {
            Some(bits) if x.dtype() == DType::U8 => unpacked(x, bits),
            _ => Ok(x.clone()),
        };
        let numbers = unpack(&self.numbers)?;
        let size = numbers.dim(self.axis as i64);
        let block = if self.block == 0 { size.max(1) } else { self.block };
        let blocks = self.scales.dim(self.axis as i64);
        if blocks != size.div_ceil(block) {
            let want = size.div_ceil(block);
            return fail(format!("expected {want} blocks, got {}", self.scales.ty()?));
        }
        let each = |p: &Tensor| match p.dim(self.axis as i64) {
            1 => p.to(DType::F32),
            _ => p
                .to(DType::F32)
                .repeat(block.min(size), self.axis as i64)
                .slice(self.axis as i64, ..size as i64),
        };
        let zeros = self.zeros.as_ref().map(unpack).transpose()?;
        let zeros = zeros.map(|z| z.slice(self.axis as i64, ..blocks as i64));
        let numbers = numbers.to(DType::F32);
        let difference = zeros.map_or(numbers.clone(), |zeros| numbers - each(&zeros));
        Ok((difference * each(&self.scales)).to(self.scales.dtype()))
    }
}

/// Unpacks numbers of `bits` bits from bytes along the last axis, the low bits first.
pub(super) fn unpacked(bytes: &Tensor, bits: usize) -> Result<Tensor, RuleFailure> {
    if bytes.dtype() != DType::U8 || bytes.rank() == 0 {
        return fail(format!("expected bytes, got {}", bytes.ty()?));
    }
    let mut shape = bytes.shape().to_vec();
    let last = shape.len() - 1;
    // Numbers that do not fill a byte are put together from single bits.
    let width = if 8 % bits == 0 { bits } else { 1 };
    let shifts: Vec<u8> = (0..8).step_by(width).collect();
    let parts = bytes.expand_dims(-1).right_shift(Tensor::from_slice(&shifts, shifts.len()));
    let parts = parts & i64::from(u8::MAX >> (8 - width));
    shape[last] *= shifts.len();
    if width == bits {
        return Ok(parts.reshape(shape));
    }
    let count = shape[last] / bits;
    let single = parts.reshape(&shape).slice(-1, ..(count * bits) as i64);
    shape[last] = count;
    shape.push(bits);
    let places: Vec<u8> = (0..bits as u8).collect();
    let placed = single.reshape(shape).left_shift(Tensor::from_slice(&places, bits));
    Ok(placed.sum(-1).to(DType::U8))
}

/// Returns the elements in another shape, which may have been written flat.
fn shaped(x: &Tensor, shape: &[usize]) -> Result<Tensor, RuleFailure> {
    let size = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    match size == Some(x.size()) {
        true => Ok(x.reshape(shape)),
        false => fail(format!("expected the shape {shape:?}, got {}", x.ty()?)),
    }
}

fn required(c: &NodeCall, name: &str) -> Result<usize, RuleFailure> {
    size_of(c.required(name, c.int(name)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_unpacked() {
        // The numbers 0 to 7 of 3 bits each, low bits first, and those of two and four bits.
        let number = (0..8u32).map(|i| i << (3 * i)).sum::<u32>();
        let bytes = Tensor::from_slice(&number.to_le_bytes()[..3], 3);
        let of = |x: &Tensor, bits| unpacked(x, bits).unwrap().to_vec::<u8>().unwrap();
        assert_eq!(of(&bytes, 3), [0, 1, 2, 3, 4, 5, 6, 7]);
        let byte = Tensor::from_slice(&[0b1110_0100u8], 1);
        assert_eq!((of(&byte, 2), of(&byte, 4)), (vec![0, 1, 2, 3], vec![4, 14]));
    }
}
