//! An interpreter of the pickle language that builds values and calls nothing: the opcodes of
//! protocols 2 to 5 that `torch.save` writes, described in Python's `pickletools.py`.

use super::value::{Heap, Id, PickleValue, StorageRef, StoredTensor};
use crate::files::error::malformed;
use neurax_tensor::{DType, Result};
use std::collections::HashMap;

pub(super) struct Pickle<'p> {
    bytes: &'p [u8],
    at: usize,
    heap: Heap,
    stack: Vec<Id>,
    /// The heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Pickle<'_> {
    /// Runs a pickle: returns its values, and the one that it describes.
    pub fn run(bytes: &[u8]) -> Result<(Heap, Id)> {
        let mut p = Pickle {
            bytes,
            at: 0,
            heap: Heap::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while p.step()? {}
        let root = p.pop()?;
        Ok((p.heap, root))
    }

    /// Executes one instruction; returns false at the end.
    fn step(&mut self) -> Result<bool> {
        let at = self.at;
        let [opcode] = self.take()?;
        match opcode {
            b'.' => return Ok(false),
            0x80 => drop(self.take::<1>()?),
            0x95 => drop(self.take::<8>()?),
            b'N' => self.push(PickleValue::None),
            0x88 | 0x89 => self.push(PickleValue::Bool),
            b'J' => self.number::<4>(|b| i32::from_le_bytes(b).into())?,
            b'K' => self.number::<1>(|[b]| b.into())?,
            b'M' => self.number::<2>(|b| u16::from_le_bytes(b).into())?,
            0x8a => self.long()?,
            b'G' => {
                self.take::<8>()?;
                self.push(PickleValue::Float);
            }
            b'X' => self.text(|b: [u8; 4]| u32::from_le_bytes(b) as usize)?,
            0x8c => self.text(|[b]: [u8; 1]| b.into())?,
            b'B' => self.opaque_bytes(|b: [u8; 4]| u32::from_le_bytes(b) as usize)?,
            b'C' => self.opaque_bytes(|[b]: [u8; 1]| b.into())?,
            b'}' => self.push(PickleValue::Dict(vec![])),
            b']' => self.push(PickleValue::List(vec![])),
            b')' => self.push(PickleValue::Tuple(vec![])),
            0x8f => self.push(PickleValue::Opaque),
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let ids = self.marked()?;
                self.push(PickleValue::Tuple(ids));
            }
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let ids = self.marked()?;
                self.set_items(&ids)?;
            }
            b'a' => {
                let id = self.pop()?;
                self.append(&[id])?;
            }
            b'e' | 0x90 => {
                let ids = self.marked()?;
                self.append(&ids)?;
            }
            b'q' => {
                let [to] = self.take()?;
                self.memoize(to.into())?;
            }
            b'r' => {
                let to = u32::from_le_bytes(self.take()?);
                self.memoize(to as usize)?;
            }
            0x94 => self.memoize(self.memo.len())?,
            b'h' => {
                let [from] = self.take()?;
                self.recall(from.into())?;
            }
            b'j' => {
                let from = u32::from_le_bytes(self.take()?);
                self.recall(from as usize)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(PickleValue::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let names = self.heap.get(module).name().zip(self.heap.get(name).name());
                let (module, name) = names.ok_or_else(|| self.broken("a global without a name"))?;
                let global = format!("{module}.{name}");
                self.push(PickleValue::Global(global));
            }
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.reduce()?,
            // The state of an object: that of an ordered dict is an attribute of no interest.
            b'b' | b'0' => drop(self.pop()?),
            _ => {
                let why = format!("expected a pickle of tensors, got the opcode {opcode:#04x}");
                return Err(malformed(format!("{why} at byte {at}")));
            }
        }
        Ok(true)
    }

    fn push(&mut self, value: PickleValue) {
        let id = self.heap.push(value);
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<Id> {
        self.stack.pop().ok_or_else(|| self.broken("an empty stack"))
    }

    /// Removes and returns the values above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>> {
        let from = self.marks.pop().filter(|&m| m <= self.stack.len());
        let from = from.ok_or_else(|| self.broken("no mark"))?;
        Ok(self.stack.split_off(from))
    }

    fn number<const N: usize>(&mut self, f: impl Fn([u8; N]) -> i64) -> Result<()> {
        let bytes = self.take()?;
        self.push(PickleValue::Int(f(bytes)));
        Ok(())
    }

    /// Pushes an integer of any length; one of more than 64 bits is no size of a tensor.
    fn long(&mut self) -> Result<()> {
        let [len] = self.take()?;
        let bytes = self.slice(len.into())?;
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        let value = match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                PickleValue::Int(i64::from_le_bytes(wide))
            }
            None => PickleValue::Opaque,
        };
        self.push(value);
        Ok(())
    }

    fn text<const N: usize>(&mut self, len: impl Fn([u8; N]) -> usize) -> Result<()> {
        let len = len(self.take()?);
        let text = String::from_utf8_lossy(self.slice(len)?).into_owned();
        self.push(PickleValue::Str(text));
        Ok(())
    }

    fn opaque_bytes<const N: usize>(&mut self, len: impl Fn([u8; N]) -> usize) -> Result<()> {
        let len = len(self.take()?);
        self.slice(len)?;
        self.push(PickleValue::Bytes);
        Ok(())
    }

    fn tuple(&mut self, len: usize) -> Result<()> {
        let from = self.stack.len().checked_sub(len);
        let from = from.ok_or_else(|| self.broken("too few values for a tuple"))?;
        let ids = self.stack.split_off(from);
        self.push(PickleValue::Tuple(ids));
        Ok(())
    }

    /// Adds keys and values to the dict on the top of the stack.
    fn set_items(&mut self, ids: &[Id]) -> Result<()> {
        let dict = self.top()?;
        if let PickleValue::Dict(entries) = self.heap.get_mut(dict) {
            entries.extend(ids.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    /// Adds values to the list on the top of the stack.
    fn append(&mut self, ids: &[Id]) -> Result<()> {
        let list = self.top()?;
        if let PickleValue::List(all) = self.heap.get_mut(list) {
            all.extend_from_slice(ids);
        }
        Ok(())
    }

    fn memoize(&mut self, to: usize) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(to, top);
        Ok(())
    }

    fn recall(&mut self, from: usize) -> Result<()> {
        let found = self.memo.get(&from).copied();
        let id = found.ok_or_else(|| self.broken("a reference to no value"))?;
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> Result<Id> {
        self.stack.last().copied().ok_or_else(|| self.broken("an empty stack"))
    }

    /// Pushes a storage: `("storage", class, key, device, number of elements)`.
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let storage = self.storage(id);
        let storage = storage.ok_or_else(|| self.broken("an unknown kind of storage"))?;
        self.push(PickleValue::Storage(storage));
        Ok(())
    }

    fn storage(&self, id: Id) -> Option<StorageRef> {
        let &[_, class, key, ..] = self.heap.elements(id)? else { return None };
        let PickleValue::Global(class) = self.heap.get(class) else { return None };
        Some(StorageRef { dtype: dtype_of(class)?, key: self.heap.get(key).name()? })
    }

    /// Pushes the result of a function that is known, or an opaque value: nothing is called.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let name = match self.heap.get(function) {
            PickleValue::Global(name) => name.as_str(),
            _ => "",
        };
        let arguments = self.heap.elements(arguments);
        let arguments = arguments.ok_or_else(|| self.broken("arguments that are no tuple"))?;
        let value = match name {
            "collections.OrderedDict" | "collections.defaultdict" => PickleValue::Dict(vec![]),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                let tensor = self.rebuilt(arguments);
                PickleValue::Tensor(
                    tensor.ok_or_else(|| self.broken("a tensor without a storage"))?,
                )
            }
            // Of the dtypes that have no class of storages.
            "torch._utils._rebuild_tensor_v3" => {
                let tensor = self.rebuilt_as(arguments);
                PickleValue::Tensor(tensor.ok_or_else(|| self.broken("a tensor without a dtype"))?)
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                arguments.first().map_or(PickleValue::Opaque, |&id| self.heap.get(id).clone())
            }
            "torch.Size" => {
                arguments.first().map_or(PickleValue::Opaque, |&id| self.heap.get(id).clone())
            }
            _ => PickleValue::Opaque,
        };
        self.push(value);
        Ok(())
    }

    /// Returns the tensor of the arguments `(storage, offset, size, stride, ..)`.
    fn rebuilt(&self, arguments: &[Id]) -> Option<StoredTensor> {
        let &[storage, offset, shape, strides, ..] = arguments else { return None };
        let PickleValue::Storage(storage) = self.heap.get(storage).clone() else { return None };
        let (shape, strides) = (self.heap.sizes(shape)?, self.heap.sizes(strides)?);
        Some(StoredTensor { storage, offset: self.heap.size(offset)?, shape, strides })
    }

    /// Returns the tensor of the arguments `(storage, offset, size, stride, requires_grad, hooks,
    /// dtype, ..)`; the storage has bytes without a type.
    fn rebuilt_as(&self, arguments: &[Id]) -> Option<StoredTensor> {
        let mut tensor = self.rebuilt(arguments)?;
        let PickleValue::Global(name) = self.heap.get(*arguments.get(6)?) else { return None };
        tensor.storage.dtype = untyped_dtype_of(name)?;
        Some(tensor)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.slice(N)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }

    fn slice(&mut self, len: usize) -> Result<&[u8]> {
        let from = self.at;
        let end = from.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.broken("the end of the file"))?;
        self.at = end;
        Ok(&self.bytes[from..end])
    }

    /// Returns the text up to the end of the line.
    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&b| b == b'\n');
        let len = len.ok_or_else(|| self.broken("the end of the file"))?;
        let line = String::from_utf8_lossy(&rest[..len]).into_owned();
        self.at += len + 1;
        Ok(line)
    }

    fn broken(&self, what: &str) -> neurax_tensor::Error {
        malformed(format!("expected a valid pickle, got {what} at byte {}", self.at))
    }
}

/// Returns the dtype of a storage class.
fn dtype_of(class: &str) -> Option<DType> {
    Some(match class.strip_prefix("torch.")? {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" | "storage.UntypedStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        "ComplexFloatStorage" => DType::C64,
        "ComplexDoubleStorage" => DType::C128,
        _ => return None,
    })
}

/// Returns the dtype of a tensor whose storage has none.
fn untyped_dtype_of(name: &str) -> Option<DType> {
    Some(match name.strip_prefix("torch.")? {
        "uint16" => DType::U16,
        "uint32" => DType::U32,
        "uint64" => DType::U64,
        "float8_e4m3fn" => DType::F8E4M3FN,
        "float8_e4m3fnuz" => DType::F8E4M3FNUZ,
        "float8_e5m2" => DType::F8E5M2,
        "float8_e5m2fnuz" => DType::F8E5M2FNUZ,
        "float8_e8m0fnu" => DType::F8E8M0FNU,
        _ => return None,
    })
}
