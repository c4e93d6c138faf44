//! The names of parameters: one rule for the importer and for the writer of weights.

use std::collections::HashSet;

/// The name of a parameter whose initializer has no dot in its name.
const VALUE: &str = "value";

/// Returns the layer of the parameter that an initializer becomes, and its name there.
pub(crate) fn layer_and_name(initializer: &str) -> (&str, &str) {
    initializer.rsplit_once('.').unwrap_or((initializer, VALUE))
}

/// Returns true for an initializer that stays a constant, as its name would be that of another
/// parameter among `names`: `a.value` if there is `a`.
pub(crate) fn is_shadowed(initializer: &str, names: &HashSet<String>) -> bool {
    let layer = initializer.strip_suffix(VALUE).and_then(|rest| rest.strip_suffix('.'));
    layer.is_some_and(|layer| names.contains(layer))
}

/// Returns `name`, with a number if it is taken, and takes it.
pub(crate) fn free_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut free = name.to_string();
    let mut number = 0;
    while !taken.insert(free.clone()) {
        number += 1;
        free = format!("{name}_{number}");
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_layer_and_the_name_of_a_parameter() {
        assert_eq!(layer_and_name("a.b.kernel"), ("a.b", "kernel"));
        assert_eq!(layer_and_name("a"), ("a", "value"));
        let names: HashSet<String> = ["a", "a.value", "b.value"].map(String::from).into();
        assert!(is_shadowed("a.value", &names) && !is_shadowed("a", &names));
        assert!(!is_shadowed("b.value", &names) && !is_shadowed("avalue", &names));
    }
}
