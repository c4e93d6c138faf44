//! The kinds of attributes, and those that a node must have.
//!
//! A name has the same kind in nearly all operators of the ONNX standard, so that one table by name
//! says it; the few names with two kinds are listed for both, and the rule checks them. Operators
//! of ONNX Runtime use some names for other kinds: their rules check them alone.

use crate::graph::{Attribute, Attributes};
use crate::operator::{MICROSOFT, Operator};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The kinds, as [`Attribute::kind`] names them, and the attributes of each.
const KINDS: &[(&str, &str)] = &[
    (
        "a float",
        "alpha beta bias clip cubic_coeff_a decay_factor default_float epsilon \
         extrapolation_value gamma height_scale high lambd low max mean min momentum \
         norm_coefficient norm_coefficient_post p ratio replaced_value_float scale seed softcap \
         spatial_scale threshold value value_float width_scale",
    ),
    (
        "an integer",
        "aggregate_function align_corners allowzero antialias axis batch_axis batch_dims \
         block_size blocksize broadcast ceil_mode center_point_box chunk_size count_include_pad \
         default_int64 detect_negative detect_positive dtype end exclude_outside exclusive fmod \
         group hidden_size ignore_index input_forget interleaved inverse is_case_sensitive \
         is_causal is_test k keepdims kv_num_heads largest layout left_window_size \
         linear_before_reset max_gram_length max_map max_skip_count maxsplit min_gram_length \
         multi_class n_supports n_targets new_axis noop_with_empty_axes num_groups num_heads \
         num_outputs num_scan_inputs offset_group one_class onesided output_datatype \
         output_dtype output_height output_sequence output_width p periodic post_transform \
         precision q_num_heads qk_matmul_output_mode replaced_value_int64 reverse \
         right_window_size rotary_embedding_dim sample_size sampling_ratio saturate seed \
         select_last_index size softmax_precision sorted spatial start stash_type \
         storage_order targets time_axis to training_mode transA transB upper value_int zeros",
    ),
    (
        "a string",
        "activation aggregate_function approximate auto_pad case_change_action cast_to \
         coordinate_transformation_mode default_string delimiter direction equation \
         keep_aspect_ratio_policy kernel_type locale map_form mode nearest_mode norm \
         padding_mode pattern pixel_format post_transform reduction round_mode to update_rule \
         value_string y",
    ),
    (
        "a tensor",
        "base_values_as_tensor class_weights_as_tensor default_tensor keys_tensor leaf_weights \
         membership_values nodes_hitrates nodes_hitrates_as_tensor nodes_modes nodes_splits \
         nodes_values_as_tensor sparse_value target_weights_as_tensor value values_tensor",
    ),
    ("a graph", "body else_branch prob_mod score_mod then_branch"),
    (
        "floats",
        "activation_alpha activation_beta base_values class_weights coefficients \
         imputed_value_floats intercepts kernel_params keys_floats nodes_hitrates nodes_values \
         offset prob_a prob_b rho scale scales support_vectors target_weights value_floats \
         values_floats weights",
    ),
    (
        "integers",
        "axes cats_int64s class_ids class_nodeids class_treeids classlabels_int64s \
         classlabels_ints consumed_inputs dilations directions ends imputed_value_int64s \
         inputdimensions int64_vocabulary kernel_shape keys_int64s leaf_targetids ngram_counts \
         ngram_indexes nodes_falseleafs nodes_falsenodeids nodes_featureids \
         nodes_missing_value_tracks_true nodes_nodeids nodes_treeids nodes_trueleafs \
         nodes_truenodeids output_padding output_shape paddings pads perm pool_int64s \
         pooled_shape scan_input_axes scan_input_directions scan_output_axes \
         scan_output_directions shape split starts strides target_ids target_nodeids \
         target_treeids tree_roots value_ints values_int64s vectors_per_class",
    ),
    (
        "strings",
        "activations cats_strings classes_strings classlabels_strings keys_strings nodes_modes \
         pool_strings stopwords string_vocabulary value_strings values_strings xs zs",
    ),
    ("a type", "type"),
];

/// Operators, attributes that their nodes must have, the first version that demands them, and the
/// first one that does not.
const REQUIRED: &[(&str, &str, i64, i64)] = &[
    ("AveragePool MaxPool MaxUnpool", "kernel_shape", 1, i64::MAX),
    ("BitCast Cast", "to", 1, i64::MAX),
    ("BitShift", "direction", 11, i64::MAX),
    ("Concat", "axis", 4, i64::MAX),
    ("ConcatFromSequence", "axis", 11, i64::MAX),
    ("DepthToSpace SpaceToDepth", "blocksize", 1, i64::MAX),
    ("Einsum", "equation", 12, i64::MAX),
    ("Gradient", "xs y", 1, i64::MAX),
    ("GroupNormalization", "num_groups", 18, i64::MAX),
    ("If", "else_branch then_branch", 1, i64::MAX),
    ("LRN", "size", 1, i64::MAX),
    ("LinearAttention", "kv_num_heads q_num_heads", 27, i64::MAX),
    ("LinearClassifier", "coefficients", 1, i64::MAX),
    ("Loop SequenceMap", "body", 1, i64::MAX),
    ("LpPool", "kernel_shape", 2, i64::MAX),
    ("MaxRoiPool", "pooled_shape", 1, i64::MAX),
    ("Momentum", "alpha beta mode norm_coefficient", 1, i64::MAX),
    ("Pad", "paddings", 1, 2),
    ("Pad", "pads", 2, 11),
    ("RandomNormal RandomUniform", "shape", 1, i64::MAX),
    ("Scan", "body num_scan_inputs", 8, i64::MAX),
    ("Slice", "ends starts", 1, 10),
    (
        "TfIdfVectorizer",
        "max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes",
        9,
        i64::MAX,
    ),
    ("TopK", "k", 1, 10),
    (
        "TreeEnsemble",
        "leaf_targetids leaf_weights nodes_falseleafs nodes_falsenodeids nodes_featureids \
         nodes_modes nodes_splits nodes_trueleafs nodes_truenodeids tree_roots",
        5,
        i64::MAX,
    ),
    ("Unsqueeze", "axes", 1, 13),
    ("Upsample", "height_scale width_scale", 1, 7),
    ("Upsample", "scales", 7, 9),
];

/// Returns what is wrong with the attributes that a node has and with those that it lacks.
/// `version` is that of its operator.
pub(crate) fn attribute_problems(
    op: &Operator,
    version: i64,
    attributes: &Attributes,
) -> Vec<String> {
    if op.domain == MICROSOFT {
        return vec![];
    }
    let wrong = attributes.iter().filter_map(|(name, x)| {
        let kinds = KINDS_BY_NAME.get(name.as_str())?;
        let fits = kinds.iter().any(|kind| is_of_kind(x, kind));
        let (want, got) = (kinds.join(" or "), x.kind());
        (!fits).then(|| format!("expected {want} as attribute `{name}`, got {got}"))
    });
    let required = REQUIRED.iter().filter(|row| {
        row.0.split(' ').any(|name| name == op.name) && (row.2..row.3).contains(&version)
    });
    let missing = required
        .flat_map(|row| row.1.split(' '))
        .filter(|name| !attributes.contains_key(*name))
        .map(|name| format!("the attribute `{name}` is missing"));
    wrong.chain(missing).collect()
}

/// Returns true for an attribute of a kind. A reference to an attribute of a function has any; a
/// list without elements that of any list, as files without types do not say it.
fn is_of_kind(x: &Attribute, kind: &str) -> bool {
    match x {
        Attribute::Reference(_) => true,
        Attribute::Ints(xs) if xs.is_empty() => ["floats", "integers", "strings"].contains(&kind),
        Attribute::Floats(xs) if xs.is_empty() => ["floats", "integers"].contains(&kind),
        other => other.kind() == kind,
    }
}

/// The kinds of each name.
static KINDS_BY_NAME: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut all: HashMap<&str, Vec<&str>> = HashMap::new();
    for (kind, names) in KINDS {
        names.split_whitespace().for_each(|name| all.entry(name).or_default().push(kind));
    }
    all
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Importer;
    use crate::ops::FAMILIES;
    use crate::testing::{float, graph, int, int_list, model, node, string};

    #[test]
    fn all_wrong_attributes_of_a_model_are_listed() {
        let nodes = vec![
            node("LeakyRelu", "x", "a").with(string("alpha", "0.1")),
            node("MaxPool", "a", "b").with(int("kernel_shape", 3)),
            node("Concat", "b b", "c"),
            node("Flatten", "c", "y").with(float("axis", 1.0)),
        ];
        let file = model(graph(&[("x", &[1, 2, 8, 8])], &["y"], vec![], nodes));
        let e = Importer::new().open_bytes(file).unwrap_err().to_string();
        for part in [
            "LeakyRelu #0 (version 16): expected a float as attribute `alpha`, got a string",
            "MaxPool #1 (version 12): expected integers as attribute `kernel_shape`, got an \
             integer",
            "Concat #2 (version 13): the attribute `axis` is missing",
            "Flatten #3 (version 21): expected an integer as attribute `axis`, got a float",
        ] {
            assert!(e.contains(part), "{part}: {e}");
        }
        let ok = vec![node("MaxPool", "x", "y").with(int_list("kernel_shape", &[2, 2]))];
        let file = model(graph(&[("x", &[1, 2, 8, 8])], &["y"], vec![], ok));
        assert!(Importer::new().open_bytes(file).is_ok());
    }

    #[test]
    fn the_tables_name_attributes_that_exist() {
        let operators = || FAMILIES.iter().flat_map(|family| family.iter());
        for (_, names) in KINDS {
            for name in names.split_whitespace() {
                assert!(operators().any(|op| op.attributes.contains(&name)), "{name}");
            }
        }
        for (names, attributes, ..) in REQUIRED {
            for name in names.split(' ') {
                let is_op = |op: &&Operator| {
                    op.name == name && op.domain != MICROSOFT && op.refusal.is_none()
                };
                let op = operators().find(is_op);
                let has = |a: &str| op.is_some_and(|op| op.attributes.contains(&a));
                assert!(attributes.split(' ').all(has), "{name}: {attributes}");
            }
        }
    }
}
