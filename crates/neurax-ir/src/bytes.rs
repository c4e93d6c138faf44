//! Memory: aligned, shared by counting, written only while it has one owner.

use bytemuck::{Pod, Zeroable};
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One cache line; the unit that memory is taken in, so that every buffer starts at a multiple of
/// 64.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

const LINE: usize = 64;

/// A run of bytes, 64-byte aligned when owned. Cloning shares; writing needs the only reference.
///
/// ```
/// use neurax_ir::Bytes;
/// let mut a = Bytes::zeroed(3);
/// a.get_mut().unwrap()[0] = 7;
/// let b = a.clone();
/// assert!(a.get_mut().is_none(), "two owners");
/// assert_eq!(&b[..], &[7, 0, 0]);
/// ```
#[derive(Clone)]
pub struct Bytes {
    memory: Memory,
    len: usize,
}

#[derive(Clone)]
enum Memory {
    Owned(Arc<Lines>),
    /// Somebody else's memory, e.g. a mapped file: read-only.
    Borrowed {
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        start: usize,
    },
}

/// Memory that is kept for others when its last owner is gone.
struct Lines(Box<[Line]>);

impl Drop for Lines {
    fn drop(&mut self) {
        if (LEAST..=MOST).contains(&self.0.len()) {
            let none_any_more = Kept::lock().give(std::mem::take(&mut self.0));
            // Given back to the system when nobody waits for the lock.
            drop(none_any_more);
        }
    }
}

/// Memory that nobody has, by its size: fresh memory of the system costs a fault for every page,
/// and zeroes.
struct Kept {
    by_lines: BTreeMap<usize, Vec<Box<[Line]>>>,
    lines: usize,
}

/// Smaller and larger pieces go back to the system (16 KiB, 32 MiB).
const LEAST: usize = 256;
const MOST: usize = 1 << 19;
/// What is kept, at most (64 MiB).
const ALL: usize = 1 << 20;

static KEPT: Mutex<Kept> = Mutex::new(Kept { by_lines: BTreeMap::new(), lines: 0 });

impl Kept {
    fn lock() -> MutexGuard<'static, Kept> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&mut self, lines: usize) -> Option<Box<[Line]>> {
        let found = self.by_lines.get_mut(&lines)?.pop()?;
        self.lines -= lines;
        Some(found)
    }

    /// Keeps memory; gives what is not kept any more for it.
    fn give(&mut self, memory: Box<[Line]>) -> Kept {
        let lines = memory.len();
        let mut out = Kept { by_lines: BTreeMap::new(), lines: 0 };
        if self.lines + lines > ALL {
            // It may be of sizes that nobody wants any more.
            std::mem::swap(self, &mut out);
        }
        self.lines += lines;
        self.by_lines.entry(lines).or_default().push(memory);
        out
    }
}

impl Bytes {
    /// Zeroed memory of that many bytes.
    pub fn zeroed(len: usize) -> Bytes {
        Bytes::owned(bytemuck::allocation::zeroed_slice_box(len.div_ceil(LINE)), len)
    }

    /// Memory of that many bytes that will be written before it is read: if it is large, perhaps
    /// what other bytes left, with what stood there.
    ///
    /// ```
    /// use neurax_ir::Bytes;
    /// let a = Bytes::recycled(1 << 20);
    /// let memory = a.address();
    /// drop(a);
    /// assert_eq!(Bytes::recycled(1 << 20).address(), memory);
    /// ```
    pub fn recycled(len: usize) -> Bytes {
        let lines = len.div_ceil(LINE);
        let kept = (LEAST..=MOST).contains(&lines).then(|| Kept::lock().take(lines)).flatten();
        kept.map_or_else(|| Bytes::zeroed(len), |lines| Bytes::owned(lines, len))
    }

    fn owned(lines: Box<[Line]>, len: usize) -> Bytes {
        Bytes { memory: Memory::Owned(Arc::new(Lines(lines))), len }
    }

    /// A copy of `data`.
    pub fn copy_of(data: &[u8]) -> Bytes {
        let mut out = Bytes::zeroed(data.len());
        if let Some(to) = out.get_mut() {
            to.copy_from_slice(data);
        }
        out
    }

    /// A read-only window into memory that `owner` keeps alive (a mapped file, a user's vector);
    /// nothing is copied, unless the window does not start at a multiple of `align`.
    pub fn borrowed(
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        range: Range<usize>,
        align: usize,
    ) -> Option<Bytes> {
        let window = (*owner).as_ref().get(range.clone())?;
        if window.as_ptr().addr() % align.max(1) != 0 {
            return Some(Bytes::copy_of(window));
        }
        Some(Bytes { len: window.len(), memory: Memory::Borrowed { owner, start: range.start } })
    }

    /// Writable access, if this is the only reference to owned memory.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.memory {
            Memory::Owned(lines) => {
                Some(&mut bytemuck::cast_slice_mut(&mut Arc::get_mut(lines)?.0)[..self.len])
            }
            Memory::Borrowed { .. } => None,
        }
    }

    /// Would [`Bytes::get_mut`] give access?
    pub fn is_unique(&self) -> bool {
        matches!(&self.memory, Memory::Owned(lines) if Arc::strong_count(lines) == 1)
    }

    /// The address of the first byte: two values that share memory have the same one.
    pub fn address(&self) -> usize {
        self.as_ptr().addr()
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Owned(lines) => &bytemuck::cast_slice(&lines.0)[..self.len],
            Memory::Borrowed { owner, start } => {
                (**owner).as_ref().get(*start..*start + self.len).unwrap_or(&[])
            }
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, o: &Bytes) -> bool {
        **self == **o
    }
}

impl Eq for Bytes {}

impl std::hash::Hash for Bytes {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        (**self).hash(h);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}
