//! Checks docs/ops-by-dtypes.md against the sample rows.

#[test]
fn the_page_of_ops_by_dtypes_agrees_with_the_samples() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ops-by-dtypes.md");
    let want = neurax_testkit::table::ops_by_dtypes();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).unwrap();
        std::fs::write(path, want).unwrap();
    } else {
        let have = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            have == want,
            "docs/ops-by-dtypes.md is not up to date: \
             run BLESS=1 cargo test -p neurax-testkit --test table"
        );
    }
}
