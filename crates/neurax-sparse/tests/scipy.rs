//! Random matrices against values that `scipy/record.py` recorded from scipy.sparse.

use neurax::{
    io::npz,
    prelude::*,
    sparse::{Coo, Csr},
    testing::{Tolerance, assert_close_with, assert_equal},
};
use std::{collections::BTreeMap, path::PathBuf};

/// Returns the arrays of a case.
fn case(i: usize) -> BTreeMap<String, Tensor> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scipy/data/cases.npz");
    let prefix = format!("{i}.");
    let all = npz::load(path).unwrap().into_iter();
    all.filter_map(|(name, x)| Some((name.strip_prefix(&prefix)?.to_string(), x))).collect()
}

#[test]
fn random_matrices_agree_with_scipy() {
    for i in 0..6 {
        let c = case(i);
        let shape = c["dense"].shape();
        let close = |have: &Tensor, name: &str| {
            assert_eq!(have.ty().unwrap(), c[name].ty().unwrap(), "case {i}: {name}");
            assert_close_with(have, &c[name], Tolerance::of(have.dtype()).times(4.0));
        };
        let indices = stack([&c["row"], &c["col"]], 0);
        // As scipy's COO: in random order and with duplicates.
        let coo = Coo::new(c["data"].clone(), indices, [shape[0], shape[1]]);
        close(&coo.to_dense(), "dense");
        close(&coo.matmul(&c["x"]), "matvec");
        close(&coo.matmul(&c["y"]), "matmul");
        close(&coo.matmul_from(&c["left"]), "left_matmul");
        close(&coo.sum(0), "sum0");
        close(&coo.sum(1), "sum1");
        close(&coo.mul_dense(&c["other"]).to_dense(), "multiply");
        close(&coo.add_dense(&c["other"]), "add");
        close(&coo.add(&coo.map_values(|v| v * 2.0)).to_dense(), "thrice");
        let csr = coo.sum_duplicates().trimmed().to_csr();
        close(csr.values(), "csr_data");
        assert_equal(csr.columns(), &c["csr_indices"]);
        assert_equal(csr.row_starts(), &c["csr_indptr"]);
        let shape = [shape[0], shape[1]];
        let theirs = Csr::new(
            c["csr_data"].clone(),
            c["csr_indices"].clone(),
            c["csr_indptr"].clone(),
            shape,
        );
        close(&theirs.matmul(&c["y"]), "matmul");
        let transposed = theirs.transpose();
        close(transposed.values(), "csc_data");
        assert_equal(transposed.columns(), &c["csc_indices"]);
        assert_equal(transposed.row_starts(), &c["csc_indptr"]);
    }
}
