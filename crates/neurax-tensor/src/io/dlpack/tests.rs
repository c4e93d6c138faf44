use super::*;
use crate::{
    prelude::*,
    testing::{Draw, check_equal, property},
};
use std::{
    ptr::null_mut,
    sync::atomic::{AtomicUsize, Ordering},
};

#[test]
fn every_dtype_returns_without_a_copy() {
    let mut draw = Draw::new(6);
    for dtype in DType::ALL {
        for shape in [vec![], vec![3], vec![2, 0, 3], vec![2, 3, 4]] {
            let x = draw.tensor(dtype, shape);
            match x.to_dlpack() {
                Ok(exported) => {
                    let y = Tensor::from_dlpack(exported).unwrap().to_literal().unwrap();
                    let x = x.to_literal().unwrap();
                    assert_eq!(x, y);
                    assert!(x.ty().size() == 0 || x.bytes().address() == y.bytes().address());
                }
                Err(e) => {
                    let packed = dtype.bits() < 8 || [F6E2M3FN, F6E3M2FN].contains(&dtype);
                    assert!(packed, "{e}");
                }
            }
        }
    }
}

#[test]
fn an_exported_tensor_keeps_its_memory() {
    let exported = Tensor::arange(1000).to_dlpack().unwrap();
    let x = Tensor::from_dlpack(exported).unwrap();
    let sum = std::thread::spawn(move || x.sum(..).item().unwrap()).join().unwrap();
    assert_eq!(sum, 499_500.0);
}

/// The number of calls of [`count`].
static DELETED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn count(managed: *mut DLManagedTensorVersioned) {
    DELETED.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the tests below make the structure by a box.
    drop(unsafe { Box::from_raw(managed) });
}

/// Returns a foreign tensor whose deleter is counted. The lists live longer than it.
fn foreign(data: &[f32], first: usize, shape: &[i64], strides: &[i64]) -> DlpackTensor {
    let dl_tensor = DLTensor {
        data: data.as_ptr().cast_mut().cast(),
        device: DLDevice { device_type: CPU, device_id: 0 },
        ndim: shape.len() as i32,
        dtype: DLDataType { code: 2, bits: 32, lanes: 1 },
        shape: shape.as_ptr().cast_mut(),
        strides: strides.as_ptr().cast_mut(),
        byte_offset: 4 * first as u64,
    };
    let managed = Box::new(DLManagedTensorVersioned {
        version: DLPackVersion { major: 1, minor: 2 },
        manager_ctx: std::ptr::null_mut(),
        deleter: Some(count),
        flags: 0,
        dl_tensor,
    });
    // SAFETY: the structure was just made.
    unsafe { DlpackTensor::from_raw(Box::into_raw(managed)).unwrap() }
}

#[test]
fn foreign_tensors_are_read_by_their_strides_and_deleted_once() {
    let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let (shape, reversed) = ([2, 3], [-6, -2]);
    let x = Tensor::from_dlpack(foreign(&data, 11, &shape, &reversed)).unwrap();
    assert_eq!(DELETED.load(Ordering::SeqCst), 1, "it was copied");
    assert_eq!(x.to_vec::<f32>().unwrap(), [11.0, 9.0, 7.0, 5.0, 3.0, 1.0]);

    let rows = [3, 1];
    let x = Tensor::from_dlpack(foreign(&data, 2, &shape, &rows)).unwrap();
    let y = x.clone();
    drop(x);
    assert_eq!(DELETED.load(Ordering::SeqCst), 1, "it is in use");
    assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    drop(y);
    assert_eq!(DELETED.load(Ordering::SeqCst), 2);

    for (shape, strides, want) in [
        ([-1, 3], [3, 1], "expected 2 sizes"),
        ([i64::MAX, 2], [1, 1], "f32["),
        ([2, 3], [i64::MAX, 1], "overflow"),
    ] {
        let e = Tensor::from_dlpack(foreign(&data, 0, &shape, &strides)).unwrap_err();
        assert!(e.message().contains(want), "{e}");
    }
    assert_eq!(DELETED.load(Ordering::SeqCst), 5, "an error deletes as well");
    // SAFETY: null is allowed.
    assert!(unsafe { DlpackTensor::from_raw(std::ptr::null_mut()) }.is_err());
}

unsafe extern "C" fn free(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: `changed` makes the structure by a box.
    drop(unsafe { Box::from_raw(managed) });
}

/// Returns a foreign tensor that is not counted, with `change` of its structure. The lists live
/// longer than it.
fn changed(
    data: &[f32],
    first: usize,
    shape: &[i64],
    strides: &[i64],
    change: impl FnOnce(&mut DLManagedTensorVersioned),
) -> DlpackTensor {
    let raw = foreign(data, first, shape, strides).into_raw();
    // SAFETY: the structure was just made by a box, and nothing else owns it.
    unsafe {
        (*raw).deleter = Some(free);
        change(&mut *raw);
        DlpackTensor::from_raw(raw).unwrap()
    }
}

/// Returns the offset of every element in row-major order.
fn offsets(shape: &[i64], strides: &[i64]) -> Vec<i64> {
    let (Some((&n, shape)), Some((&stride, strides))) =
        (shape.split_first(), strides.split_first())
    else {
        return vec![0];
    };
    let inner = offsets(shape, strides);
    (0..n).flat_map(|i| inner.iter().map(move |o| o + i * stride)).collect()
}

#[test]
fn random_layouts_are_read_by_their_strides() {
    property(300, |draw| {
        let sizes = draw.shape(0..=4, 0..=4);
        let shape: Vec<i64> = sizes.iter().map(|&n| n as i64).collect();
        let strides: Vec<i64> = sizes.iter().map(|_| draw.below(11) as i64 - 5).collect();
        let places = offsets(&shape, &strides);
        let low = places.iter().copied().min().unwrap_or(0);
        let high = places.iter().copied().max().unwrap_or(0);
        let data: Vec<f32> = (0..=high - low).map(|i| i as f32).collect();
        let want: Vec<f32> = places.iter().map(|place| (place - low) as f32).collect();
        let theirs = changed(&data, low.unsigned_abs() as usize, &shape, &strides, |_| ());
        let x = Tensor::from_dlpack(theirs)?;
        check_equal(&x, &Tensor::from_vec(want, &sizes[..]))
    })
    .unwrap();
}

#[test]
fn damaged_structures_are_refused() {
    // Enough memory for six elements of the largest dtype.
    let data = [0.0f32; 24];
    property(300, |draw| {
        let (field, number) = (draw.below(9), draw.one_of(&[0, 2, 7, -1, i32::MIN, i32::MAX]));
        let theirs = changed(&data, 0, &[2, 3], &[3, 1], |m| match field {
            0 => m.version.major = number as u32,
            1 => m.dl_tensor.device.device_type = number,
            2 => m.dl_tensor.ndim = draw.one_of(&[-1, 65, i32::MIN, i32::MAX]),
            3 => m.dl_tensor.dtype.lanes = number as u16,
            4 => m.dl_tensor.dtype.code = 15 + draw.below(241) as u8,
            5 => m.dl_tensor.dtype.bits = draw.one_of(&[0, 1, 4, 24, 255]),
            6 => m.dl_tensor.shape = null_mut(),
            7 => m.dl_tensor.data = null_mut(),
            _ => m.dl_tensor.byte_offset = u64::MAX - draw.below(9) as u64,
        });
        let e = Tensor::from_dlpack(theirs).map(|x| x.to_string()).unwrap_err();
        assert_eq!(e.op(), "from_dlpack", "field {field}: {e}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn any_known_dtype_is_read() {
    let data = [0.0f32; 24];
    property(300, |draw| {
        let dtype = DLDataType { code: draw.below(16) as u8, bits: 8 << draw.below(5), lanes: 1 };
        let theirs = changed(&data, 0, &[2, 3], &[3, 1], |m| {
            m.dl_tensor.dtype = dtype;
            if draw.below(2) == 0 {
                m.dl_tensor.strides = null_mut();
            }
        });
        let known = DLPACK_DTYPES.iter().find(|d| (d.1, d.2) == (dtype.code, dtype.bits));
        let read = Tensor::from_dlpack(theirs);
        assert_eq!(read.ok().map(|x| x.dtype()), known.map(|d| d.0), "{dtype:?}");
        Ok(())
    })
    .unwrap();
}
