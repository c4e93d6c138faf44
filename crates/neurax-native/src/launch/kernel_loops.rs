//! The loops of a kernel, for running it on a part of their iterations.

use crate::kernel::{Inst, InstKind, InstSource, Kernel, Size, Stride};
use crate::schedule::KernelCall;
use smallvec::SmallVec;

/// The loops of a kernel of one stage that sums nothing and uses no counter as a number.
#[derive(Debug)]
pub struct KernelLoops {
    /// The trip counts, outermost first.
    pub sizes: SmallVec<[usize; 3]>,
    /// The parameter of each trip count, if it has no other use.
    pub params: SmallVec<[Option<u16>; 3]>,
    /// The strides of each operand along the loops, in bytes.
    pub strides: Vec<SmallVec<[isize; 3]>>,
}

impl KernelLoops {
    /// Returns the loops of a kernel call.
    pub fn of(n: &KernelCall) -> Option<KernelLoops> {
        let k = &n.kernel;
        let [stage] = &k.stages[..] else { return None };
        let counts =
            |inst: &Inst<InstSource>| matches!(inst.op, InstKind::Source(InstSource::Index { .. }));
        let all: SmallVec<[Size; 3]> = k.outer.iter().chain(&stage.inner).copied().collect();
        if !stage.accumulators.is_empty()
            || stage.insts.iter().any(counts)
            || !(1..=3).contains(&all.len())
        {
            return None;
        }
        let value = |p: u16| n.params.get(p as usize).and_then(|&v| isize::try_from(v).ok());
        let size = |(i, size): (usize, &Size)| match *size {
            _ if i == 0 => Some(n.count),
            Size::Fixed(count) => Some(count as usize),
            Size::Param(p) => usize::try_from(value(p)?).ok(),
        };
        let param = |s: &Size| match *s {
            Size::Param(p) if uses(k, p) == 1 => Some(p),
            _ => None,
        };
        let stride = |s: &Stride, bytes: usize| match *s {
            Stride::Zero => Some(0),
            Stride::Unit => Some(bytes as isize),
            Stride::Param(p) => value(p),
        };
        let strides = k.operands.iter().zip(&n.args).map(|(o, arg)| {
            let own = o.strides.iter().map(|s| stride(s, o.dtype.bits() / 8));
            let mut own = own.collect::<Option<SmallVec<[isize; 3]>>>()?;
            *own.first_mut()? = arg.step;
            Some(own)
        });
        Some(KernelLoops {
            sizes: all.iter().enumerate().map(size).collect::<Option<_>>()?,
            params: all.iter().map(param).collect(),
            strides: strides.collect::<Option<_>>()?,
        })
    }
}

/// Returns the number of uses of a parameter.
fn uses(k: &Kernel, param: u16) -> usize {
    let of_stride = |s: &&Stride| matches!(s, Stride::Param(p) if *p == param);
    let of_size = |s: &&Size| matches!(s, Size::Param(p) if *p == param);
    let of_inst = |op: &InstKind<InstSource>| match op {
        InstKind::Source(InstSource::Param(p)) => usize::from(*p == param),
        InstKind::Source(InstSource::Index { strides, base }) => {
            strides.iter().filter(of_stride).count() + usize::from(*base == Some(param))
        }
        // other: reads no parameter.
        _ => 0,
    };
    let operands = k.operands.iter().flat_map(|o| &o.strides).filter(of_stride).count();
    let stages = k.stages.iter().map(|s| {
        let insts: usize = s.insts.iter().map(|inst| of_inst(&inst.op)).sum();
        s.inner.iter().filter(of_size).count() + insts
    });
    k.outer.iter().filter(of_size).count() + operands + stages.sum::<usize>()
}
