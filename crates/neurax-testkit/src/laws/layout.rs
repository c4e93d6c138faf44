//! The same op on operands that lie in memory in another way.

use super::*;
use neurax_ir::{
    Value,
    op::{Pad, Reverse, Slice},
};

/// How operands lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Axes in the opposite order.
    Transposed,
    /// Every axis from its end to its beginning.
    Reversed,
    /// Every second element of a larger array, along every axis.
    Spread,
}

impl Layout {
    /// Every one.
    pub const ALL: [Layout; 3] = [Layout::Transposed, Layout::Reversed, Layout::Spread];

    /// From an array to one that lies this way.
    fn lay(self, b: &mut Builder, x: Value) -> Value {
        match self {
            Layout::Spread => {
                let rank = b.ty(x).rank();
                let junk = b.scalar(b.dtype(x), 1.0);
                b.emit(
                    Pad { low: vec![1; rank], high: vec![2; rank], interior: vec![1; rank] },
                    &[x, junk],
                )
            }
            _ => self.turn(b, x),
        }
    }

    /// Back to an array of that type.
    fn take(self, b: &mut Builder, x: Value, ty: &Type) -> Value {
        match self {
            Layout::Spread => {
                // Along an axis without elements the padding meets.
                let limit = ty.shape.iter().map(|&n| 2 * n + 1 - (n > 0) as usize).collect();
                b.emit(Slice { start: vec![1; ty.rank()], limit, stride: vec![2; ty.rank()] }, &[x])
            }
            _ => self.turn(b, x),
        }
    }

    /// What undoes itself.
    fn turn(self, b: &mut Builder, x: Value) -> Value {
        let axes: Vec<usize> = (0..b.ty(x).rank()).collect();
        match self {
            Layout::Transposed => b.transpose(x, &axes.into_iter().rev().collect::<Vec<_>>()),
            Layout::Reversed if !axes.is_empty() => b.emit(Reverse { axes }, &[x]),
            _ => x,
        }
    }
}

/// The op on operands that lie that way, its results moved too; and the operands.
///
/// # Errors
/// When the row is no row of the op.
pub fn laid_out(s: &Sample, layout: Layout) -> Result<(Graph, Vec<Literal>), String> {
    let args = s.inputs.iter().map(|x| laid(x, layout)).collect::<Result<Vec<_>, _>>()?;
    let mut b = Builder::new();
    let xs = b.inputs(&types_of(&args));
    let xs: Vec<Value> =
        xs.iter().zip(&s.inputs).map(|(&x, like)| layout.take(&mut b, x, like.ty())).collect();
    let ys = b.try_emit(s.op.clone(), &xs).map_err(told)?;
    let ys: Vec<Value> = ys.iter().map(|&y| layout.turn(&mut b, y)).collect();
    Ok((b.finish(&ys).map_err(told)?, args))
}

fn laid(x: &Literal, layout: Layout) -> Result<Literal, String> {
    let mut b = Builder::new();
    let v = b.inputs(std::slice::from_ref(x.ty()))[0];
    let y = layout.lay(&mut b, v);
    let graph = b.finish(&[y]).map_err(told)?;
    Ok(run(&graph, std::slice::from_ref(x))?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_ir::DType;

    #[test]
    fn a_layout_is_undone() {
        let x = Literal::from_f64s(DType::I8, [2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let all =
            [x, Literal::from_f64s(DType::F32, [0, 2], &[]), Literal::scalar(DType::F32, 2.0)];
        for (x, layout) in all.iter().flat_map(|x| Layout::ALL.map(|l| (x, l))) {
            let y = laid(x, layout).unwrap();
            assert!(x.ty().size() < 2 || y != *x, "{layout:?}");
            let mut b = Builder::new();
            let v = b.inputs(std::slice::from_ref(y.ty()))[0];
            let z = layout.take(&mut b, v, x.ty());
            assert_eq!(
                run(&b.finish(&[z]).unwrap(), &[y]).unwrap(),
                std::slice::from_ref(x),
                "{layout:?}"
            );
        }
    }
}
