//! Secrets in command lines, which must not be written to a file that is shown to others.
//!
//! ```text
//! --api-key=a1b2 --token c3d4 https://user:word@host/set  ->
//! --api-key=*** --token *** https://***@host/set
//! ```
//!
//! A rule by names finds the usual secrets and not all: `--tokens 100` is hidden, too, and a secret
//! without a name is kept.

/// The parts of names of arguments whose values are secret.
const SECRET_NAMES: [&str; 4] = ["token", "key", "secret", "password"];
/// The text in place of a secret.
const HIDDEN_TEXT: &str = "***";

/// Returns the arguments of a command with secrets replaced by `***`: values of arguments whose
/// name contains `token`, `key`, `secret` or `password`, and users and passwords in URLs.
pub(super) fn without_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let (mut shown, mut is_value) = (vec![], false);
    for argument in arguments {
        let is_hidden = is_value && !argument.starts_with('-');
        is_value = argument.starts_with('-') && !argument.contains('=') && is_secret(&argument);
        shown.push(if is_hidden { HIDDEN_TEXT.into() } else { without_secret(&argument) });
    }
    shown
}

/// Returns one argument without the secrets inside of it.
fn without_secret(argument: &str) -> String {
    match argument.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{}={HIDDEN_TEXT}", without_user(name)),
        _ => without_user(argument),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Returns a text in which the user of a URL is hidden.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN_TEXT}@{host}{path}"),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str) -> String {
        without_secrets(command.split(' ').map(str::to_string)).join(" ")
    }

    #[test]
    fn values_of_secret_names_are_hidden() {
        assert_eq!(shown("train --api-key=a1 --token b2 3"), "train --api-key=*** --token *** 3");
        assert_eq!(shown("DB_PASSWORD=a=b --Secret"), "DB_PASSWORD=*** --Secret");
        assert_eq!(shown("train --token --rate 0.1"), "train --token --rate 0.1");
        assert_eq!(shown("target/monkey key.txt"), "target/monkey key.txt");
    }

    #[test]
    fn users_of_urls_are_hidden() {
        assert_eq!(shown("https://me:word@host/a@b"), "https://***@host/a@b");
        assert_eq!(shown("--data=s3://me@host"), "--data=s3://***@host");
        assert_eq!(shown("https://me@host/?token=a"), "https://***@host/?token=***");
        assert_eq!(shown("https://host/a@b"), "https://host/a@b");
    }
}
