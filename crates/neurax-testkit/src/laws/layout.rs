//! Memory layouts: the same op on operands that are strided views of other arrays.

use super::*;
use neurax_ir::{
    Value,
    op::{Pad, Reverse, Slice},
};

/// A memory layout of operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLayout {
    /// Axes in reverse order.
    Transposed,
    /// Elements along each axis in reverse order.
    Reversed,
    /// Every second element of a larger array, along each axis.
    Spread,
}

impl MemoryLayout {
    /// All layouts.
    pub const ALL: [MemoryLayout; 3] =
        [MemoryLayout::Transposed, MemoryLayout::Reversed, MemoryLayout::Spread];

    /// Emits the array that stores `x` in this layout.
    fn store(self, b: &mut Builder, x: Value) -> Value {
        match self {
            MemoryLayout::Spread => {
                let rank = b.ty(x).rank();
                let junk = b.scalar(b.dtype(x), 1.0);
                b.emit(
                    Pad { low: vec![1; rank], high: vec![2; rank], interior: vec![1; rank] },
                    &[x, junk],
                )
            }
            _ => self.invert(b, x),
        }
    }

    /// Emits the view of type `ty` of an array in this layout.
    fn view(self, b: &mut Builder, x: Value, ty: &Type) -> Value {
        match self {
            MemoryLayout::Spread => {
                // Along an empty axis only the padding remains.
                let limit = ty.shape.iter().map(|&n| 2 * n + 1 - (n > 0) as usize).collect();
                b.emit(Slice { start: vec![1; ty.rank()], limit, stride: vec![2; ty.rank()] }, &[x])
            }
            _ => self.invert(b, x),
        }
    }

    /// Emits the transpose or reverse, which is its own inverse.
    fn invert(self, b: &mut Builder, x: Value) -> Value {
        let axes: Vec<usize> = (0..b.ty(x).rank()).collect();
        match self {
            MemoryLayout::Transposed => b.transpose(x, &axes.into_iter().rev().collect::<Vec<_>>()),
            MemoryLayout::Reversed if !axes.is_empty() => b.emit(Reverse { axes }, &[x]),
            _ => x,
        }
    }
}

/// Returns the op as a graph on operands in `layout`, with its results moved likewise, and the
/// operands.
///
/// # Errors
/// If the op rejects the row's operands.
pub fn with_layout(s: &Sample, layout: MemoryLayout) -> Result<(Graph, Vec<Literal>), String> {
    let args = s.inputs.iter().map(|x| stored(x, layout)).collect::<Result<Vec<_>, _>>()?;
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&args));
    let xs: Vec<Value> =
        xs.iter().zip(&s.inputs).map(|(&x, like)| layout.view(&mut b, x, like.ty())).collect();
    let ys = b.try_emit(s.op.clone(), &xs).map_err(message)?;
    let ys: Vec<Value> = ys.iter().map(|&y| layout.invert(&mut b, y)).collect();
    Ok((b.finish(&ys).map_err(message)?, args))
}

fn stored(x: &Literal, layout: MemoryLayout) -> Result<Literal, String> {
    let mut b = Builder::new();
    let v = b.inputs(std::slice::from_ref(x.ty()))[0];
    let y = layout.store(&mut b, v);
    let graph = b.finish(&[y]).map_err(message)?;
    Ok(run(&graph, std::slice::from_ref(x))?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_ir::DType;

    #[test]
    fn the_view_of_a_stored_array_is_the_array() {
        let x = Literal::from_f64s(DType::I8, [2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let all =
            [x, Literal::from_f64s(DType::F32, [0, 2], &[]), Literal::scalar(DType::F32, 2.0)];
        for (x, layout) in all.iter().flat_map(|x| MemoryLayout::ALL.map(|l| (x, l))) {
            let y = stored(x, layout).unwrap();
            assert!(x.ty().size() < 2 || y != *x, "{layout:?}");
            let mut b = Builder::new();
            let v = b.inputs(std::slice::from_ref(y.ty()))[0];
            let z = layout.view(&mut b, v, x.ty());
            assert_eq!(
                run(&b.finish(&[z]).unwrap(), &[y]).unwrap(),
                std::slice::from_ref(x),
                "{layout:?}"
            );
        }
    }
}
