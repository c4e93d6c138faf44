//! `neurax data`, run as a user runs it.

use std::process::{Command, Output};

fn neurax(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurax")).arg("data").args(arguments).output().unwrap()
}

#[test]
fn the_list_has_urls_sizes_and_checksums() {
    let run = neurax(&["list"]);
    assert!(run.status.success());
    let text = String::from_utf8(run.stdout).unwrap();
    let url = "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz";
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| *line == url).unwrap();
    assert!(lines[at + 1].starts_with("4542 bytes, sha256 f7ae60f92e00ec6d"), "{text}");
    for name in ["fashion-mnist: ", "kmnist: ", "cifar10: ", "cifar100: ", "tiny-shakespeare: "] {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn an_unknown_data_set_is_an_error() {
    let run = neurax(&["get", "imagenet"]);
    assert!(!run.status.success());
    let error = String::from_utf8(run.stderr).unwrap();
    assert!(error.starts_with("error: data: expected one of the data sets mnist, "), "{error}");
}

#[cfg(not(feature = "download"))]
#[test]
fn a_build_without_downloads_says_how_to_get_one() {
    let run = neurax(&["get", "tiny-shakespeare"]);
    assert!(!run.status.success());
    let error = String::from_utf8(run.stderr).unwrap();
    assert!(error.contains("--features download -- data get tiny-shakespeare"), "{error}");
    assert!(error.contains("char-rnn/master/data/tinyshakespeare/input.txt"), "{error}");
    let run = neurax(&["get", "mnist", "--dir", "my data", "--from", "http://mirror/"]);
    let error = String::from_utf8(run.stderr).unwrap();
    assert!(error.contains("get mnist --dir 'my data' --from http://mirror/`"), "{error}");
}

#[cfg(feature = "download")]
mod with_downloads {
    use super::neurax;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    /// Serves one answer with the body `contents`; returns the URL of its folder.
    fn mirror(contents: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mirror/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.map(Result::unwrap).take_while(|line| !line.is_empty());
            let request: Vec<String> = request.collect();
            assert!(request[0].starts_with("GET /mirror/input.txt "), "{request:?}");
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
            write!(stream, "{head}{}\r\n\r\n", contents.len()).unwrap();
            stream.write_all(&contents).unwrap();
        });
        url
    }

    #[test]
    fn only_the_listed_contents_are_kept() {
        let name = format!("neurax-data-get-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let get = |url: &str| {
            let dir = folder.to_str().unwrap();
            let run = neurax(&["get", "tiny-shakespeare", "--dir", dir, "--from", url]);
            assert!(!run.status.success());
            String::from_utf8(run.stderr).unwrap()
        };
        let error = get(&mirror(b"To be, or not to be".to_vec()));
        assert!(error.contains("expected 1115394 bytes, the server has 19"), "{error}");
        // The right size and other contents.
        let error = get(&mirror(vec![b'x'; 1_115_394]));
        assert!(error.contains("expected SHA-256 86c4e6aa9db7c042"), "{error}");
        let left: Vec<_> = std::fs::read_dir(folder.join("tiny-shakespeare")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
