//! The data sets that `neurax data get` knows.
//!
//! Each size and SHA-256 stands in the files `tensorflow_datasets/url_checksums/*.txt` of
//! TensorFlow Datasets and, except those of `kmnist`, in other public repositories with the same
//! values.

/// The name of the command in errors.
pub const DATA_OP: &str = "data";

/// A data set.
pub struct CatalogSet {
    /// The name on the command line, and that of its folder.
    pub name: &'static str,
    /// A phrase that says what it is.
    pub about: &'static str,
    /// The page of its authors, with its terms.
    pub page: &'static str,
    /// The URL of the folder of its files.
    pub folder: &'static str,
    /// The expression that reads it, in which `FOLDER` stands for its folder.
    pub reader: &'static str,
    pub files: &'static [CatalogFile],
}

/// A file to download.
pub struct CatalogFile {
    pub name: &'static str,
    /// The size.
    pub bytes: u64,
    /// The SHA-256 of the contents, 64 hexadecimal digits.
    pub sha256: &'static str,
}

impl CatalogSet {
    /// Returns the URL of one of the files, in another folder if `from` names one.
    pub fn url(&self, file: &CatalogFile, from: Option<&str>) -> String {
        format!("{}/{}", from.unwrap_or(self.folder).trim_end_matches('/'), file.name)
    }
}

/// All data sets.
pub const CATALOG: &[CatalogSet] = &[
    CatalogSet {
        name: "mnist",
        about: "70,000 handwritten digits of 28 x 28 pixels",
        page: "http://yann.lecun.com/exdb/mnist/",
        folder: "https://storage.googleapis.com/cvdf-datasets/mnist",
        reader: "data::mnist(\"FOLDER\")",
        files: &[
            CatalogFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 9_912_422,
                sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            },
            CatalogFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 28_881,
                sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            },
            CatalogFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 1_648_877,
                sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            },
            CatalogFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 4_542,
                sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            },
        ],
    },
    CatalogSet {
        name: "fashion-mnist",
        about: "70,000 pictures of clothes in the format of MNIST",
        page: "https://github.com/zalandoresearch/fashion-mnist",
        folder: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        reader: "data::mnist(\"FOLDER\")",
        files: &[
            CatalogFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 26_421_880,
                sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            },
            CatalogFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 29_515,
                sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            },
            CatalogFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 4_422_102,
                sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            },
            CatalogFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 5_148,
                sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
        ],
    },
    CatalogSet {
        name: "kmnist",
        about: "70,000 cursive Japanese characters in the format of MNIST",
        page: "http://codh.rois.ac.jp/kmnist/",
        folder: "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        reader: "data::mnist(\"FOLDER\")",
        files: &[
            CatalogFile {
                name: "train-images-idx3-ubyte.gz",
                bytes: 18_165_135,
                sha256: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            },
            CatalogFile {
                name: "train-labels-idx1-ubyte.gz",
                bytes: 29_497,
                sha256: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            },
            CatalogFile {
                name: "t10k-images-idx3-ubyte.gz",
                bytes: 3_041_136,
                sha256: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            },
            CatalogFile {
                name: "t10k-labels-idx1-ubyte.gz",
                bytes: 5_120,
                sha256: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            },
        ],
    },
    CatalogSet {
        name: "cifar10",
        about: "60,000 color images of 32 x 32 pixels in 10 classes",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        folder: "https://www.cs.toronto.edu/~kriz",
        reader: "data::cifar10(\"FOLDER\")",
        files: &[CatalogFile {
            name: "cifar-10-binary.tar.gz",
            bytes: 170_052_171,
            sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        }],
    },
    CatalogSet {
        name: "cifar100",
        about: "60,000 color images of 32 x 32 pixels in 100 classes",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        folder: "https://www.cs.toronto.edu/~kriz",
        reader: "data::cifar100(\"FOLDER\")",
        files: &[CatalogFile {
            name: "cifar-100-binary.tar.gz",
            bytes: 168_513_733,
            sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        }],
    },
    CatalogSet {
        name: "tiny-shakespeare",
        about: "a megabyte of the plays of Shakespeare, for the example `gpt`",
        page: "https://github.com/karpathy/char-rnn",
        folder: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare",
        reader: "data::text_lines(\"FOLDER/input.txt\")",
        files: &[CatalogFile {
            name: "input.txt",
            bytes: 1_115_394,
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_entries_are_well_formed() {
        let mut hashes = BTreeSet::new();
        for file in CATALOG.iter().flat_map(|set| set.files) {
            let is_digit = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
            assert!(file.sha256.len() == 64 && file.sha256.chars().all(is_digit), "{}", file.name);
            assert!(hashes.insert(file.sha256), "{} occurs twice", file.sha256);
            assert!(!file.name.contains('/') && file.bytes > 0);
        }
        let mnist = &CATALOG[0];
        let from = mnist.url(&mnist.files[1], Some("http://mirror/"));
        assert_eq!(from, "http://mirror/train-labels-idx1-ubyte.gz");
        assert!(CATALOG.iter().all(|set| set.url(&set.files[0], None).starts_with("http")));
        let names: BTreeSet<&str> = CATALOG.iter().map(|set| set.name).collect();
        assert_eq!(names.len(), CATALOG.len());
    }
}
