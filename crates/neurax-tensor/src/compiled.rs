//! A function compiled for given types.

use crate::{
    Error, Result, Tensor, Tree, TypeSpec,
    closed::place,
    device::{Device, default_device},
    jit::{Entry, Key},
    tensor::At,
    tree::into_vec,
};
use neurax_runtime::{Buffer, Program};
use smallvec::SmallVec;
use std::{borrow::Cow, fmt, marker::PhantomData, panic::Location, sync::Arc};

/// A function compiled for given types: see [`crate::Jit::compile`]. It traces nothing and compiles
/// nothing any more.
pub struct Compiled<A, O> {
    key: Key,
    entry: Arc<Entry<O>>,
    device: Device,
    program: Arc<Program>,
    captures: Vec<Buffer>,
    takes: PhantomData<fn(A) -> O>,
}

/// What a function can be compiled for: `types![..]` with one type per tensor (for a `Tensor`, a
/// tuple of tensors, a `Vec` of tensors), or a reference to an argument like those it will get.
pub trait Example<A> {
    /// An argument of those types; its values are never looked at.
    ///
    /// # Errors
    /// When a type has an open dimension.
    fn example(self) -> Result<A>;
}

impl<A: Tree> Example<A> for &A {
    fn example(self) -> Result<A> {
        let standin = |t: &Tensor| {
            t.ty().map_or_else(Tensor::from_error, |t| Tensor::zeros_of(t.dtype, &t.shape))
        };
        Ok(self.map_leaves(standin))
    }
}

fn standin(t: &TypeSpec) -> Result<Tensor> {
    let t = t.fixed()?;
    Ok(Tensor::zeros_of(t.dtype, &t.shape))
}

impl Example<Tensor> for [TypeSpec; 1] {
    fn example(self) -> Result<Tensor> {
        let [t] = &self;
        standin(t)
    }
}

impl<const N: usize> Example<Vec<Tensor>> for [TypeSpec; N] {
    fn example(self) -> Result<Vec<Tensor>> {
        self.iter().map(standin).collect()
    }
}

macro_rules! tuples {
    ($($n:literal: $($t:ident)*),*) => {$(
        impl Example<($(tuples!(@ $t),)*)> for [TypeSpec; $n] {
            fn example(self) -> Result<($(tuples!(@ $t),)*)> {
                let [$($t),*] = &self;
                Ok(($(standin($t)?,)*))
            }
        }
    )*};
    (@ $t:ident) => { Tensor };
}

tuples!(1: a, 2: a b, 3: a b c, 4: a b c d, 5: a b c d e, 6: a b c d e f);

impl<A: Tree, O: Tree> Compiled<A, O> {
    pub(crate) fn new(key: Key, entry: Arc<Entry<O>>, leaves: &[Tensor]) -> Result<Compiled<A, O>> {
        let Some((device, program)) = entry.program(&mut leaves.iter())? else {
            return Err(crate::tensor::no_value("compile"));
        };
        let captures = entry
            .closed
            .captures
            .iter()
            .map(|x| x.clone().into_buffer("compile", &device))
            .collect::<Result<Vec<_>>>()?;
        Ok(Compiled { key, entry, device, program, captures, takes: PhantomData })
    }

    /// Runs it. Arguments that are moved in may be updated in place.
    ///
    /// # Errors
    /// When the arguments have other types than it was compiled for, or carry an error.
    #[track_caller]
    pub fn run(&self, a: A) -> Result<O> {
        self.check("run", &a, Location::caller())?;
        self.program.check_memory()?;
        let own = into_vec(a).into_iter().map(|x| x.into_buffer("run", &self.device));
        let args = own.chain(self.captures.iter().cloned().map(Ok)).collect::<Result<Vec<_>>>()?;
        let device = self.own_device();
        let outs = self.program.run(args)?;
        Ok(self
            .entry
            .closed
            .out
            .fill(outs.into_iter().map(|b| Tensor::concrete(b, device.clone()))))
    }

    /// Runs it and writes the results into `outs`, the leaves of the result in order. An output
    /// that nobody else holds and that has the result's type keeps its memory; another is replaced
    /// by a new one in every call. Any number of threads may call at once. Calls one after the
    /// other take no memory of the system once they are warm, but for large products and for ops
    /// without machine code.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let double = jit(|x: Tensor| x * 2.0).compile(types![f32[2]])?;
    /// let (x, mut y) = (tensor([1.0, 2.0]), tensor([0.0, 0.0]));
    /// let memory = y.address();
    /// double.run_into(&x, &mut [&mut y])?;
    /// assert_eq!((y.to_vec::<f32>()?, y.address()), (vec![2.0, 4.0], memory));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Compiled::run`]; also when the number of outputs is another one. The outputs are then
    /// what they were, unless the device failed while it was writing.
    #[track_caller]
    pub fn run_into(&self, a: &A, outs: &mut [&mut Tensor]) -> Result<()> {
        self.check("run_into", a, Location::caller())?;
        let want = self.program.outputs();
        if outs.len() != want.len() {
            return Err(Error::new(
                "run_into",
                format!("the function gives {} tensors, not {}", want.len(), outs.len()),
            ));
        }
        let mut args: SmallVec<[Cow<'_, Buffer>; 16]> = SmallVec::new();
        let mut failed = None;
        a.each_leaf(|x| match x.buffer_on(&self.device) {
            Some(b) => args.push(Cow::Borrowed(b)),
            None => match x.clone().into_buffer("run_into", &self.device) {
                Ok(b) => args.push(Cow::Owned(b)),
                Err(e) => failed = Some(e),
            },
        });
        if let Some(e) = failed {
            return Err(e);
        }
        let args: SmallVec<[&Buffer; 16]> = args.iter().map(|b| &**b).collect();
        self.program.check_memory()?;
        if outs
            .iter_mut()
            .zip(want)
            .all(|(out, ty)| out.own_buffer(&self.device).is_some_and(|b| b.ty() == ty))
        {
            let mut buffers: SmallVec<[&mut Buffer; 8]> =
                outs.iter_mut().filter_map(|out| out.own_buffer(&self.device)).collect();
            return self.program.run_into(&args, &self.captures, &mut buffers);
        }
        self.run_and_replace(&args, outs)
    }

    /// Runs into outputs some of which are replaced.
    fn run_and_replace(&self, args: &[&Buffer], outs: &mut [&mut Tensor]) -> Result<()> {
        // All that is new is made before anything is taken.
        let fresh =
            |ty: &neurax_ir::Type| self.device.upload(neurax_ir::Literal::zeros(ty.clone()));
        let mut fresh =
            self.program.outputs().iter().map(fresh).collect::<Result<Vec<Buffer>>>()?;
        let device = self.own_device();
        let mut buffers: Vec<&mut Buffer> = vec![];
        let mut replaced: Vec<(usize, &mut Tensor)> = vec![];
        for ((o, out), new) in outs.iter_mut().enumerate().zip(&mut fresh) {
            if out.own_buffer(&self.device).is_some_and(|b| b.ty() == new.ty()) {
                buffers.extend(out.own_buffer(&self.device));
            } else {
                buffers.push(new);
                replaced.push((o, out));
            }
        }
        self.program.run_into(args, &self.captures, &mut buffers)?;
        for (o, out) in replaced {
            *out = Tensor::concrete(fresh[o].clone(), device.clone());
        }
        Ok(())
    }

    /// The device that results are put on, unless that is the default one.
    fn own_device(&self) -> Option<Device> {
        default_device().is_ok_and(|d| *d != self.device).then(|| self.device.clone())
    }

    fn check(&self, op: &str, a: &A, at: At) -> Result<()> {
        if self.key.fits(a) {
            return Ok(());
        }
        if let Some(e) = crate::tree::first_error(a) {
            return Err(e);
        }
        let list = |v: Vec<String>| v.join(", ");
        let want = list(self.key.types().iter().map(|t| t.to_string()).collect());
        let mut have = vec![];
        a.each_leaf(|t| have.extend(t.type_ref().map(|t| t.to_string())));
        let have = list(have);
        let why = if want == have {
            "the function was compiled for other static values, or for another structure, than it was given".to_string()
        } else {
            format!("the function was compiled for ({want}), but ({have}) was given")
        };
        Err(Error::new(op, why).at(&place(at)))
    }
}

impl<A, O> fmt::Debug for Compiled<A, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Compiled for {}", self.device)
    }
}
