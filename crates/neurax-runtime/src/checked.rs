//! [`CheckedArgs`] and [`CheckedCall`]: calls whose types were compared.
//!
//! Types are compared once per call: `jit` finds a program by the types of the arguments,
//! [`crate::CompiledGraph::run`] compares a list of buffers. A value of these types says that it
//! was done, so that an executable does not do it again. Only a [`crate::CompiledGraph`] creates
//! them.

use crate::Buffer;
use std::borrow::Cow;

/// The arguments of a call, with the types of the inputs of the graph that compared them. Owned
/// arguments may be donated.
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
pub struct CheckedArgs<'a, 'b>(pub(crate) &'a mut [Cow<'b, Buffer>]);

impl<'a, 'b> CheckedArgs<'a, 'b> {
    /// Returns the arguments, which may be taken out: see [`Buffer::take_from`].
    pub fn into_inner(self) -> &'a mut [Cow<'b, Buffer>] {
        self.0
    }
}

/// A call that writes its results into buffers of the caller; arguments and outputs have the types
/// of the graph that compared them.
#[derive(Debug)]
pub struct CheckedCall<'a, 'b> {
    pub(crate) args: &'a [&'a Buffer],
    pub(crate) captures: &'a [Buffer],
    pub(crate) outs: &'a mut [&'b mut Buffer],
}

impl<'a, 'b> CheckedCall<'a, 'b> {
    /// Returns the arguments, the captures, which follow them, and the outputs.
    pub fn into_parts(self) -> (&'a [&'a Buffer], &'a [Buffer], &'a mut [&'b mut Buffer]) {
        (self.args, self.captures, self.outs)
    }
}
