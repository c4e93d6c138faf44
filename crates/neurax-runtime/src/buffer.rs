//! Values on a device.

use neurax_ir::{Bytes, DType, Literal, Result, Type};
use std::{borrow::Cow, sync::LazyLock};

/// A value on a device: its type and its memory. Cloning shares the memory; the memory of the last
/// reference may be reused.
///
/// ```
/// use neurax_ir::Literal;
/// use neurax_runtime::Buffer;
/// let x = Literal::from_slice([2], &[1.0f32, 2.0])?;
/// let at = x.bytes().address();
/// let b = Buffer::from(x);
/// assert_eq!(b.address(), at, "nothing is copied on the way in");
/// assert_eq!(b.into_literal()?.bytes().address(), at, "or out");
/// # Ok::<(), neurax_ir::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Host memory, as in a literal. Memory of accelerators will be a second kind; therefore
    /// reading can fail.
    host: Literal,
}

impl Buffer {
    /// Returns the type.
    pub fn ty(&self) -> &Type {
        self.host.ty()
    }

    /// Returns the address of the memory: buffers that share memory have the same one.
    pub fn address(&self) -> usize {
        self.host.bytes().address()
    }

    /// Returns true if this is the only reference to writable memory.
    pub fn is_unique(&self) -> bool {
        self.host.bytes().is_unique()
    }

    /// Returns the memory if the host can read it.
    pub fn host(&self) -> Option<&Bytes> {
        Some(self.host.bytes())
    }

    /// Returns the memory for writing if the host can write it and no other reference shares it.
    pub fn host_mut(&mut self) -> Option<&mut [u8]> {
        self.host.bytes_mut()
    }

    /// Returns the value as a literal that shares the memory.
    ///
    /// # Errors
    /// When the memory cannot be read from the host.
    pub fn to_literal(&self) -> Result<Literal> {
        Ok(self.host.clone())
    }

    /// Converts to a literal. If this was the only reference to the memory, so is the literal.
    ///
    /// # Errors
    /// When the memory cannot be read from the host.
    pub fn into_literal(self) -> Result<Literal> {
        Ok(self.host)
    }

    /// Takes the buffer out of an argument: an owned one is moved out and an empty one is left
    /// behind, a borrowed one is cloned.
    pub fn take_from(arg: &mut Cow<'_, Buffer>) -> Buffer {
        static EMPTY: LazyLock<Buffer> =
            LazyLock::new(|| Literal::zeros(Type::new(DType::Bool, [0])).into());
        match std::mem::replace(arg, Cow::Borrowed(&*EMPTY)) {
            Cow::Owned(buffer) => buffer,
            Cow::Borrowed(buffer) => buffer.clone(),
        }
    }

    /// Assigns the value of `from`. It is copied into the memory of this buffer if that is not
    /// shared and the types are equal, so that the address stays; otherwise the memory is replaced.
    pub fn assign(&mut self, from: Buffer) {
        let has_equal_type = self.ty() == from.ty();
        match self.host.bytes_mut() {
            // Equal types have equal sizes.
            Some(to) if has_equal_type => to.copy_from_slice(from.host.bytes()),
            Some(_) | None => self.host = from.host,
        }
    }
}

impl From<Literal> for Buffer {
    fn from(host: Literal) -> Buffer {
        Buffer { host }
    }
}
