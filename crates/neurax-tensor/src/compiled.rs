//! A function compiled for given types.

use crate::{
    Error, Result, Tensor, Tree, TypeSpec,
    closed::place,
    device::{Device, default_device},
    jit::{Entry, Key},
    tensor::{At, Repr},
    tree::into_vec,
};
use neurax_runtime::{Buffer, Program};
use smallvec::SmallVec;
use std::{fmt, marker::PhantomData, panic::Location, sync::Arc};

/// A function compiled for given types: see [`crate::Jit::compile`]. It traces nothing and compiles nothing any more.
pub struct Compiled<A, O> {
    key: Key,
    entry: Arc<Entry<O>>,
    device: Device,
    program: Arc<Program>,
    captures: Vec<Buffer>,
    takes: PhantomData<fn(A) -> O>,
}

/// What a function can be compiled for: `types![..]` with one type per tensor (for a `Tensor`, a tuple of tensors, a `Vec` of tensors), or a reference
/// to an argument like those it will get.
pub trait Example<A> {
    /// An argument of those types; its values are never looked at.
    ///
    /// # Errors
    /// When a type has an open dimension.
    fn example(self) -> Result<A>;
}

impl<A: Tree> Example<A> for &A {
    fn example(self) -> Result<A> {
        let standin = |t: &Tensor| t.ty().map_or_else(Tensor::from_error, |t| Tensor::zeros_of(t.dtype, &t.shape));
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
        let Some((device, program)) = entry.program(&mut leaves.iter())? else { return Err(crate::tensor::no_value("compile")) };
        let captures = entry.closed.captures.iter().map(|x| x.clone().into_buffer("compile", &device)).collect::<Result<Vec<_>>>()?;
        Ok(Compiled { key, entry, device, program, captures, takes: PhantomData })
    }

    /// Runs it. Arguments that are moved in may be updated in place.
    ///
    /// # Errors
    /// When the arguments have other types than it was compiled for, or carry an error.
    #[track_caller]
    pub fn run(&self, a: A) -> Result<O> {
        self.check(&a, Location::caller())?;
        self.program.check_memory()?;
        let own = into_vec(a).into_iter().map(|x| x.into_buffer("run", &self.device));
        let args = own.chain(self.captures.iter().cloned().map(Ok)).collect::<Result<Vec<_>>>()?;
        let device = default_device().is_ok_and(|d| *d != self.device).then(|| self.device.clone());
        let outs = self.program.run(args)?;
        Ok(self.entry.closed.out.fill(outs.into_iter().map(|b| Tensor::concrete(b, device.clone()))))
    }

    /// Runs it and writes the results into `outs`, the leaves of the result in order. An output that nobody else holds and that has the result's
    /// type keeps its memory; another is replaced.
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
    /// As [`Compiled::run`]; also when the number of outputs is another one. The outputs are then what they were, unless the device failed while it
    /// was writing.
    #[track_caller]
    pub fn run_into(&self, a: &A, outs: &mut [&mut Tensor]) -> Result<()> {
        self.check(a, Location::caller())?;
        let want = self.program.outputs();
        if outs.len() != want.len() {
            return Err(Error::new("run_into", format!("the function gives {} tensors, not {}", want.len(), outs.len())));
        }
        let mut args: SmallVec<[Buffer; 8]> = SmallVec::new();
        let mut failed = None;
        a.each_leaf(|x| match x.clone().into_buffer("run_into", &self.device) {
            Ok(b) => args.push(b),
            Err(e) => failed = Some(e),
        });
        if let Some(e) = failed {
            return Err(e);
        }
        args.extend(self.captures.iter().cloned());
        self.program.check_memory()?;
        // What cannot be kept is made before anything is taken.
        let fresh = outs.iter().zip(want).map(|(out, ty)| match &out.0 {
            Repr::Concrete(c) if c.buffer.ty() == ty => Ok(None),
            _ => self.device.upload(neurax_ir::Literal::zeros(ty.clone())).map(Some),
        });
        let fresh = fresh.collect::<Result<SmallVec<[Option<Buffer>; 8]>>>()?;
        let mut buffers: SmallVec<[Buffer; 8]> = SmallVec::new();
        // The device of an output whose memory is written, or the output that will be replaced.
        let mut before: SmallVec<[Result<Option<Device>, Tensor>; 8]> = SmallVec::new();
        for (out, fresh) in outs.iter_mut().zip(fresh) {
            match (std::mem::replace(*out, Tensor::hollow()).0, fresh) {
                (Repr::Concrete(c), None) => {
                    let c = Arc::unwrap_or_clone(c);
                    buffers.push(c.buffer);
                    before.push(Ok(c.device));
                }
                (old, fresh) => {
                    buffers.extend(fresh);
                    before.push(Err(Tensor(old)));
                }
            }
        }
        let ran = self.program.run_into(&args, &mut buffers);
        let device = default_device().is_ok_and(|d| *d != self.device).then(|| self.device.clone());
        for ((out, buffer), before) in outs.iter_mut().zip(buffers).zip(before) {
            **out = match (&ran, before) {
                (Ok(()), _) => Tensor::concrete(buffer, device.clone()),
                (Err(_), Ok(device)) => Tensor::concrete(buffer, device),
                (Err(_), Err(old)) => old,
            };
        }
        ran
    }

    fn check(&self, a: &A, at: At) -> Result<()> {
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
        Err(Error::new("run", why).at(&place(at)))
    }
}

impl<A, O> fmt::Debug for Compiled<A, O> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Compiled for {}", self.device)
    }
}
