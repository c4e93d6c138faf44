//! Values on a device.

use neurax_ir::{Bytes, Literal, Result, Type};

/// A value on a device: its type and its memory. Cloning shares the memory; the last reference may
/// be reused.
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
    /// Host memory, the same as a literal's. Memory of accelerators will be a second kind, which is
    /// why reading can fail.
    host: Literal,
}

impl Buffer {
    /// The type.
    pub fn ty(&self) -> &Type {
        self.host.ty()
    }

    /// The address of the memory: two buffers that share memory have the same one.
    pub fn address(&self) -> usize {
        self.host.bytes().address()
    }

    /// Is this the only reference to writable memory?
    pub fn is_unique(&self) -> bool {
        self.host.bytes().is_unique()
    }

    /// Its memory, if that can be read from the host.
    pub fn host(&self) -> Option<&Bytes> {
        Some(self.host.bytes())
    }

    /// Its memory for writing, if that can be written from the host and nobody else holds it.
    pub fn host_mut(&mut self) -> Option<&mut [u8]> {
        self.host.bytes_mut()
    }

    /// The value, sharing its memory.
    ///
    /// # Errors
    /// When the memory cannot be read from the host.
    pub fn to_literal(&self) -> Result<Literal> {
        Ok(self.host.clone())
    }

    /// The value; if this was the only reference, so is the literal.
    ///
    /// # Errors
    /// When the memory cannot be read from the host.
    pub fn into_literal(self) -> Result<Literal> {
        Ok(self.host)
    }

    /// Takes over the value of `from`: copied into this buffer's memory where that is possible, so
    /// that its address stays.
    pub fn assign(&mut self, from: Buffer) {
        let ty = self.ty().clone();
        let empty = Literal::zeros(Type::new(ty.dtype, [0]));
        let mut bytes = std::mem::replace(&mut self.host, empty).into_bytes();
        let kept = match bytes.get_mut() {
            Some(to) if ty == *from.ty() && to.len() == from.host.bytes().len() => {
                to.copy_from_slice(from.host.bytes());
                Some(bytes)
            }
            _ => None,
        };
        self.host = kept.and_then(|b: Bytes| Literal::new(ty, b).ok()).unwrap_or(from.host);
    }
}

impl From<Literal> for Buffer {
    fn from(host: Literal) -> Buffer {
        Buffer { host }
    }
}
