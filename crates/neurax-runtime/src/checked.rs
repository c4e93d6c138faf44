//! [`CheckedArgs`] and [`CheckedCall`]: calls whose types were compared.
//!
//! Types are compared once per call: `jit` finds a program by the types of the arguments,
//! [`CompiledGraph::run`] compares a list of buffers. A value of these types says that it was done,
//! so that an executable does not do it again. Only a [`CompiledGraph`] creates them.

use crate::{Buffer, CompiledGraph};
use neurax_ir::{Result, mismatch};
use std::borrow::Cow;

/// The arguments of a call, with the types of the inputs of its graph. Owned arguments may be
/// donated.
///
/// ```
/// use neurax_ir::{Builder, DType, Graph, Literal, Result, Type};
/// use neurax_runtime::{Backend, Buffer, Device, Executable};
/// # #[derive(Debug)]
/// # struct Nothing;
/// # impl Backend for Nothing {
/// #     fn name(&self) -> &str { "nothing" }
/// #     fn devices(&self) -> usize { 1 }
/// #     fn compile(&self, _: &Graph, _: usize) -> Result<std::sync::Arc<dyn Executable>> {
/// #         Ok(std::sync::Arc::new(Nothing))
/// #     }
/// #     fn upload(&self, x: Literal, _: usize) -> Result<Buffer> { Ok(x.into()) }
/// #     fn download(&self, x: &Buffer) -> Result<Literal> { x.to_literal() }
/// # }
/// # impl Executable for Nothing {
/// #     fn run(&self, args: Vec<Buffer>) -> Result<Vec<Buffer>> { Ok(args) }
/// # }
/// # let device = Device::from_backend(std::sync::Arc::new(Nothing), 0)?;
/// let mut b = Builder::new();
/// let x = b.input(Type::new(DType::F32, [2]));
/// let identity = device.compile(&b.finish(&[x])?)?;
/// let mut args = [std::borrow::Cow::Owned(Literal::from_slice([2], &[1.0f32, 2.0])?.into())];
/// let results = identity.run_checked(identity.check_args(&mut args)?)?;
/// assert_eq!(results[0].to_literal()?.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), neurax_ir::Error>(())
/// ```
#[derive(Debug)]
pub struct CheckedArgs<'a, 'b>(&'a mut [Cow<'b, Buffer>]);

impl<'a, 'b> CheckedArgs<'a, 'b> {
    /// Returns the arguments, which may be taken out: see [`Buffer::take_from`].
    pub fn into_inner(self) -> &'a mut [Cow<'b, Buffer>] {
        self.0
    }
}

/// A call that writes its results into buffers of the caller; arguments and outputs have the types
/// of its graph.
#[derive(Debug)]
pub struct CheckedCall<'a, 'b> {
    args: &'a [&'a Buffer],
    captures: &'a [Buffer],
    outs: &'a mut [&'b mut Buffer],
}

impl<'a, 'b> CheckedCall<'a, 'b> {
    /// Returns the arguments, the captures, which follow them, and the outputs.
    pub fn into_parts(self) -> (&'a [&'a Buffer], &'a [Buffer], &'a mut [&'b mut Buffer]) {
        (self.args, self.captures, self.outs)
    }
}

impl CompiledGraph {
    /// Compares the types of `args` with those of the inputs.
    ///
    /// # Errors
    /// When they differ.
    pub fn check_args<'a, 'b>(
        &self,
        args: &'a mut [Cow<'b, Buffer>],
    ) -> Result<CheckedArgs<'a, 'b>> {
        let types = args.iter().map(|b| b.ty());
        if !types.clone().eq(self.inputs()) {
            return Err(mismatch("run", "arguments", self.inputs(), types));
        }
        Ok(CheckedArgs(args))
    }

    /// Takes the word of the caller that `args` have the types of the inputs, because it found this
    /// graph by them. If they have not, the call may fail or give any result, but it is not
    /// undefined behavior; with debug assertions this method panics.
    pub fn assume_args<'a, 'b>(&self, args: &'a mut [Cow<'b, Buffer>]) -> CheckedArgs<'a, 'b> {
        debug_assert!(args.iter().map(|b| b.ty()).eq(self.inputs()), "{WRONG_TYPES}");
        CheckedArgs(args)
    }

    /// Compares the types of a call that writes its results into `outs`. The arguments are `args`,
    /// followed by `captures`, which stay the same from call to call.
    ///
    /// # Errors
    /// When the arguments or the outputs have other types than the graph.
    pub fn check_call<'a, 'b>(
        &self,
        args: &'a [&'a Buffer],
        captures: &'a [Buffer],
        outs: &'a mut [&'b mut Buffer],
    ) -> Result<CheckedCall<'a, 'b>> {
        let types = args.iter().copied().chain(captures).map(Buffer::ty);
        if !types.clone().eq(self.inputs()) {
            return Err(mismatch("run", "arguments", self.inputs(), types));
        }
        let types = outs.iter().map(|b| b.ty());
        if !types.clone().eq(self.outputs()) {
            return Err(mismatch("run", "outputs", self.outputs(), types));
        }
        Ok(CheckedCall { args, captures, outs })
    }

    /// Takes the word of the caller that a call has the types of the graph, as
    /// [`CompiledGraph::assume_args`] does.
    pub fn assume_call<'a, 'b>(
        &self,
        args: &'a [&'a Buffer],
        captures: &'a [Buffer],
        outs: &'a mut [&'b mut Buffer],
    ) -> CheckedCall<'a, 'b> {
        debug_assert!(
            args.iter().copied().chain(captures).map(Buffer::ty).eq(self.inputs())
                && outs.iter().map(|b| b.ty()).eq(self.outputs()),
            "{WRONG_TYPES}"
        );
        CheckedCall { args, captures, outs }
    }
}

const WRONG_TYPES: &str = "a call has other types than its graph was found by; \
    if a type implements `Tree` by hand, its `visit` and `into_leaves` may disagree";
