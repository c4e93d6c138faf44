//! Byte buffers: 64-byte aligned, reference-counted, writable while they have one owner.
//!
//! Fresh memory of the operating system costs a page fault and zeroing for every page. A buffer of
//! 16 KiB to 32 MiB is therefore put on a process-wide free list when its last owner drops it, and
//! [`Bytes::recycled`] takes it from the list. The list is emptied when it would exceed 64 MiB.
//!
//! A buffer of at most 1 KiB, the size of scalars and small tensors, goes to a list of the thread
//! that drops it. Aligned allocation costs about 1200 instructions in glibc, more than an eager
//! operation on such a tensor; a list without a lock costs about ten.

use crate::tuning::{
    MAX_FREE_LINES, MAX_RECYCLED_LINES, MAX_SMALL_BLOCKS, MAX_SMALL_LINES, MIN_BORROWED_BYTES,
    MIN_RECYCLED_LINES,
};
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A cache line, the allocation unit: every buffer starts at a multiple of 64 bytes.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

const LINE_BYTES: usize = 64;

/// A byte buffer, 64-byte aligned when owned. Cloning shares the memory; writing requires the only
/// reference.
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
    memory: ByteStorage,
    len: usize,
}

#[derive(Clone)]
enum ByteStorage {
    Owned(Arc<OwnedLines>),
    /// Read-only memory of another object, e.g. a mapped file.
    Borrowed {
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        start: usize,
    },
}

/// Owned cache lines, put on a free list when dropped.
struct OwnedLines(Box<[CacheLine]>);

impl Drop for OwnedLines {
    fn drop(&mut self) {
        if (1..=MAX_SMALL_LINES).contains(&self.0.len()) {
            put_small(std::mem::take(&mut self.0));
        } else if (MIN_RECYCLED_LINES..=MAX_RECYCLED_LINES).contains(&self.0.len()) {
            let evicted = FreeList::lock().put(std::mem::take(&mut self.0));
            // Freed after the lock is released.
            drop(evicted);
        }
    }
}

thread_local! {
    /// The small unused allocations of this thread: `n` cache lines at index `n - 1`.
    static SMALL_BLOCKS: RefCell<[Vec<Box<[CacheLine]>>; MAX_SMALL_LINES]> =
        const { RefCell::new([const { Vec::new() }; MAX_SMALL_LINES]) };
}

/// Takes an unused allocation of `lines` cache lines of this thread, at most [`MAX_SMALL_LINES`].
fn take_small(lines: usize) -> Option<Box<[CacheLine]>> {
    let index = lines.checked_sub(1)?;
    // The list is gone while the thread ends.
    SMALL_BLOCKS.try_with(|lists| lists.borrow_mut().get_mut(index)?.pop()).ok().flatten()
}

/// Keeps an allocation of 1 to [`MAX_SMALL_LINES`] cache lines for this thread, or frees it.
fn put_small(memory: Box<[CacheLine]>) {
    let index = memory.len() - 1;
    let _ = SMALL_BLOCKS.try_with(|lists| {
        let list = &mut lists.borrow_mut()[index];
        if list.len() < MAX_SMALL_BLOCKS {
            list.push(memory);
        }
    });
}

/// Unused allocations by their size in cache lines.
struct FreeList {
    by_lines: BTreeMap<usize, Vec<Box<[CacheLine]>>>,
    /// The sum of the sizes, in cache lines.
    lines: usize,
}

static FREE_LIST: Mutex<FreeList> = Mutex::new(FreeList { by_lines: BTreeMap::new(), lines: 0 });

impl FreeList {
    fn lock() -> MutexGuard<'static, FreeList> {
        FREE_LIST.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&mut self, lines: usize) -> Option<Box<[CacheLine]>> {
        let found = self.by_lines.get_mut(&lines)?.pop()?;
        self.lines -= lines;
        Some(found)
    }

    /// Adds an allocation; returns the allocations that are dropped to make room for it.
    fn put(&mut self, memory: Box<[CacheLine]>) -> FreeList {
        let lines = memory.len();
        let mut out = FreeList { by_lines: BTreeMap::new(), lines: 0 };
        if self.lines + lines > MAX_FREE_LINES {
            // The listed sizes may no longer be in demand.
            std::mem::swap(self, &mut out);
        }
        self.lines += lines;
        self.by_lines.entry(lines).or_default().push(memory);
        out
    }
}

impl Bytes {
    /// Creates a zeroed buffer of `len` bytes.
    pub fn zeroed(len: usize) -> Bytes {
        let lines = len.div_ceil(LINE_BYTES);
        let memory = match take_small(lines) {
            Some(mut memory) => {
                memory.fill(CacheLine::zeroed());
                memory
            }
            None => bytemuck::allocation::zeroed_slice_box(lines),
        };
        Bytes::owned(memory, len)
    }

    /// Creates a buffer of `len` bytes with unspecified contents, for a caller that writes before
    /// it reads. It may reuse dropped memory.
    ///
    /// ```
    /// use neurax_ir::Bytes;
    /// let a = Bytes::recycled(1 << 20);
    /// let memory = a.address();
    /// drop(a);
    /// assert_eq!(Bytes::recycled(1 << 20).address(), memory);
    /// ```
    pub fn recycled(len: usize) -> Bytes {
        let lines = len.div_ceil(LINE_BYTES);
        if let Some(memory) = take_small(lines) {
            return Bytes::owned(memory, len);
        }
        let recyclable = (MIN_RECYCLED_LINES..=MAX_RECYCLED_LINES).contains(&lines);
        let free = recyclable.then(|| FreeList::lock().take(lines)).flatten();
        free.map_or_else(|| Bytes::zeroed(len), |lines| Bytes::owned(lines, len))
    }

    /// Creates a buffer as [`Bytes::recycled`] does.
    ///
    /// ```
    /// use neurax_ir::Bytes;
    /// assert_eq!(Bytes::try_recycled(100)?.len(), 100);
    /// let e = Bytes::try_recycled(1 << 60).unwrap_err().to_string();
    /// assert!(e.starts_with("memory: not enough memory for 1152921504606846976 bytes"), "{e}");
    /// # Ok::<(), neurax_ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn try_recycled(len: usize) -> Result<Bytes> {
        let lines = len.div_ceil(LINE_BYTES);
        if lines <= MAX_RECYCLED_LINES
            && let Some(memory) = take_small(lines).or_else(|| FreeList::lock().take(lines))
        {
            return Ok(Bytes::owned(memory, len));
        }
        match bytemuck::allocation::try_zeroed_slice_box(lines) {
            Ok(memory) => Ok(Bytes::owned(memory, len)),
            Err(()) => Err(out_of_memory(len)),
        }
    }

    fn owned(lines: Box<[CacheLine]>, len: usize) -> Bytes {
        Bytes { memory: ByteStorage::Owned(Arc::new(OwnedLines(lines))), len }
    }

    /// Creates a copy of `data`.
    pub fn copy_of(data: &[u8]) -> Bytes {
        let mut out = Bytes::recycled(data.len());
        if let Some(to) = out.get_mut() {
            to.copy_from_slice(data);
        }
        out
    }

    /// Creates a read-only view of `range` (in bytes) of the memory of `owner` (a mapped file, a
    /// user's vector). Nothing is copied, and the view has any alignment. `None` if the range is
    /// out of bounds.
    pub fn borrowed(
        owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
        range: Range<usize>,
    ) -> Option<Bytes> {
        let window = (*owner).as_ref().get(range.clone())?;
        Some(Bytes {
            len: window.len(),
            memory: ByteStorage::Borrowed { owner, start: range.start },
        })
    }

    /// Returns the bytes for writing if this is the only reference to owned memory.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.memory {
            ByteStorage::Owned(lines) => {
                Some(&mut bytemuck::cast_slice_mut(&mut Arc::get_mut(lines)?.0)[..self.len])
            }
            ByteStorage::Borrowed { .. } => None,
        }
    }

    /// Returns true if [`Bytes::get_mut`] would return the bytes.
    pub fn is_unique(&self) -> bool {
        matches!(&self.memory, ByteStorage::Owned(lines) if Arc::strong_count(lines) == 1)
    }

    /// Returns the address of the first byte. Buffers that share memory have equal addresses.
    pub fn address(&self) -> usize {
        self.as_ptr().addr()
    }
}

/// Checks that `bytes` bytes can be allocated now. They are not: a check before a computation whose
/// allocations cannot fail one by one.
///
/// ```
/// assert!(neurax_ir::check_memory(1 << 20).is_ok());
/// assert!(neurax_ir::check_memory(1 << 60).is_err());
/// ```
///
/// # Errors
/// If there is not enough memory.
pub fn check_memory(bytes: usize) -> Result<()> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| out_of_memory(bytes))
}

/// Returns the error of an allocation that failed.
pub(crate) fn out_of_memory(bytes: usize) -> Error {
    let why = format!("not enough memory for {bytes} bytes; use smaller shapes or batches");
    Error::new("memory", why)
}

/// The memory of a vector, without a copy; a copy of a small one, which costs less than memory that
/// can never be reused in place.
impl From<Vec<u8>> for Bytes {
    fn from(data: Vec<u8>) -> Bytes {
        if data.len() < MIN_BORROWED_BYTES {
            return Bytes::copy_of(&data);
        }
        Bytes::from(Arc::new(data) as Arc<dyn AsRef<[u8]> + Send + Sync>)
    }
}

/// The memory of another object, without a copy.
impl From<Arc<dyn AsRef<[u8]> + Send + Sync>> for Bytes {
    fn from(owner: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Bytes {
        let len = (*owner).as_ref().len();
        Bytes { len, memory: ByteStorage::Borrowed { owner, start: 0 } }
    }
}

/// A copy.
impl From<&[u8]> for Bytes {
    fn from(data: &[u8]) -> Bytes {
        Bytes::copy_of(data)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.memory {
            ByteStorage::Owned(lines) => &bytemuck::cast_slice(&lines.0)[..self.len],
            ByteStorage::Borrowed { owner, start } => {
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
