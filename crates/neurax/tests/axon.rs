//! Checks `docs/coverage/axon.md`: no function of Axon or Polaris is left out, every name of ours
//! is a public item, and every named test exists.

mod workspace;

use std::{fs, path::Path, sync::OnceLock};
use workspace::{files, has_word, root};

/// The functions of Axon 0.8 and Polaris 0.1, by the section of the page.
const FUNCTIONS: [(&str, &str); 11] = [
    (
        "Builders",
        "input optional or_else constant container block layer parameter param nx stack_columns \
         activation",
    ),
    (
        "Layers",
        "dense bilinear embedding bias conv conv_transpose depthwise_conv separable_conv2d \
         separable_conv3d dropout spatial_dropout feature_alpha_dropout alpha_dropout max_pool \
         avg_pool lp_pool blur_pool adaptive_avg_pool adaptive_max_pool adaptive_lp_pool \
         global_avg_pool global_max_pool global_lp_pool batch_norm instance_norm layer_norm \
         group_norm rms_norm flatten reshape transpose pad resize add subtract multiply \
         concatenate cond split lstm gru conv_lstm mask bidirectional",
    ),
    (
        "Activations",
        "celu elu exp gelu hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sumexp \
         log_sigmoid log_softmax mish relu relu6 sigmoid silu selu softmax softplus softsign tanh",
    ),
    (
        "Losses",
        "binary_cross_entropy categorical_cross_entropy categorical_hinge hinge kl_divergence \
         log_cosh soft_margin mean_absolute_error mean_squared_error poisson margin_ranking \
         cosine_similarity huber connectionist_temporal_classification label_smoothing \
         apply_label_smoothing",
    ),
    (
        "Metrics",
        "accuracy precision recall true_positives false_positives true_negatives false_negatives \
         sensitivity specificity mean_absolute_error top_k_categorical_accuracy running_average \
         running_sum",
    ),
    (
        "Initializers",
        "zeros ones full identity uniform normal lecun_uniform lecun_normal glorot_uniform \
         glorot_normal he_uniform he_normal variance_scaling orthogonal",
    ),
    (
        "Precision and quantization",
        "create_policy apply_policy cast LossScale.identity LossScale.static LossScale.dynamic \
         quantize quantize_model quantize_model_state weight_only_quantized_dense \
         QTensor.from_tensor",
    ),
    (
        "Model operations",
        "build compile predict trace_init trace_forward trace_backward map_nodes reduce_nodes \
         rewrite_nodes pop_node get_inputs get_parameters set_parameters get_options set_options \
         get_output_shape get_op_counts properties attach_hook serialize deserialize freeze \
         unfreeze ModelState.new ModelState.empty ModelState.update ModelState.merge \
         ModelState.trainable_parameters ModelState.frozen_parameters ModelState.trainable_state \
         ModelState.frozen_state Display.as_table Display.as_graph",
    ),
    (
        "The loop",
        "loop trainer evaluator train_step eval_step metric handle_event log validate monitor \
         checkpoint early_stop reduce_lr_on_plateau kino_vega_lite_plot from_state \
         serialize_state deserialize_state run",
    ),
    ("Optimizers", "sgd noisy_sgd adam adamw radam adabelief yogi lamb adagrad rmsprop"),
    (
        "Transforms of updates",
        "scale scale_by_state scale_by_adam scale_by_rss scale_by_rms scale_by_belief \
         scale_by_stddev scale_by_schedule scale_by_radam scale_by_yogi scale_by_trust_ratio trace \
         clip clip_by_global_norm centralize add_decayed_weights add_noise accumulate_gradients \
         identity compose stateless stateful apply_updates",
    ),
];

const SCHEDULES: (&str, &str) =
    ("Schedules", "constant linear_decay exponential_decay cosine_decay polynomial_decay");

/// Returns the cells of the rows of the table below the title `section`.
fn rows(section: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/coverage/axon.md")).unwrap();
    let title = format!("## {section}");
    let below = page.lines().skip_while(|l| *l != title).skip(1);
    let table = below.take_while(|l| !l.starts_with("## ")).filter(|l| l.starts_with('|')).skip(2);
    let cells = |l: &str| l.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect();
    let rows: Vec<Vec<String>> = table.map(cells).collect();
    assert!(rows.iter().all(|row| row.len() == 3) && !rows.is_empty(), "{section}: {rows:?}");
    rows
}

/// Returns the words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The sources of a crate or of one of its modules, without unit tests.
fn sources(path: &Path) -> Vec<String> {
    let file = path.with_extension("rs");
    let all = if path.is_dir() { files(path, ".rs") } else { vec![file] };
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let code = |text: String| text.split("#[cfg(test)]\nmod tests").next().unwrap().to_string();
    all.into_iter().map(read).map(code).collect()
}

/// Returns true if `text` declares the public item `name`, or a table of a macro has it.
fn declares(text: &str, name: &str) -> bool {
    let mut in_table = false;
    text.lines().any(|line| {
        let is_macro = line
            .split_once("! {")
            .is_some_and(|(head, rest)| rest.is_empty() && !head.is_empty() && !head.contains(' '));
        in_table = (in_table || is_macro) && line != "}";
        let code = line.trim_start();
        let item = code.strip_prefix("pub ").unwrap_or_default().trim_start_matches("const ");
        let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "mod "];
        let declared = kinds.iter().find_map(|kind| item.strip_prefix(kind)).unwrap_or_default();
        let end = declared.find(|c: char| !c.is_alphanumeric() && c != '_');
        let is_row = in_table && !code.starts_with("//") && has_word(code, name);
        &declared[..end.unwrap_or(declared.len())] == name || is_row
    })
}

/// Returns the text of all statements `pub use`.
fn exports(text: &str) -> String {
    let statements = text.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    statements.collect::<Vec<_>>().join("\n")
}

/// Returns true if the path `name`, of a module of networks or of a type, is a public item.
fn is_public(name: &str) -> bool {
    let Some((parent, rest)) = name.split_once("::") else { return false };
    match parent {
        "nn" => is_exported(rest),
        "data" => is_in_data(rest),
        _ if parent.starts_with(|c: char| c.is_lowercase()) => is_in_module(parent, rest),
        _ => is_method(parent, rest),
    }
}

/// Returns true if `neurax-data` has the public item `path` at this path: at its root, or in a
/// public module.
fn is_in_data(path: &str) -> bool {
    let src = root().join("crates/neurax-data/src");
    let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
    let has = |text: &str, name| has_word(&exports(text), name) || declares(text, name);
    let lib = read(&src.join("lib.rs"));
    match path.split_once("::") {
        Some((module, name)) => {
            declares(&lib, module) && has(&read(&src.join(module).join("mod.rs")), name)
        }
        None => has(&lib, path),
    }
}

/// Returns true if the root of `neurax-nn` exports `name`.
fn is_exported(name: &str) -> bool {
    let src = root().join("crates/neurax-nn/src");
    let mut roots = ["lib.rs", "layers/mod.rs"].map(|f| src.join(f)).into_iter();
    roots.any(|file| has_word(&exports(&fs::read_to_string(file).unwrap()), name))
}

/// Returns true if a module of `neurax-nn` has the public item `path`. Those of its submodules
/// are only checked for being declared.
fn is_in_module(module: &str, path: &str) -> bool {
    let folder = root().join("crates/neurax-nn/src").join(module);
    let name = path.rsplit("::").next().unwrap_or(path);
    let own = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let exported = exports(&own);
    let is_visible = own.is_empty()
        || path.contains("::")
        || exported.contains('*')
        || has_word(&exported, name)
        || declares(&own, name);
    is_visible && sources(&folder).iter().any(|text| declares(text, name))
}

/// Returns true if a file with an `impl` of the type declares the public method.
fn is_method(of: &str, method: &str) -> bool {
    static ALL: OnceLock<Vec<String>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let crates = ["nn", "train", "data", "tensor"];
        crates.map(|c| sources(&root().join(format!("crates/neurax-{c}/src")))).concat()
    });
    let is_impl = |line: &str| line.trim_start().starts_with("impl") && has_word(line, of);
    all.iter().any(|text| text.lines().any(is_impl) && declares(text, method))
}

#[test]
fn every_function_of_axon_and_polaris_has_a_row() {
    for (section, names) in FUNCTIONS.into_iter().chain([SCHEDULES]) {
        let rows = rows(section);
        let found: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        let want: Vec<&str> = names.split_whitespace().collect();
        assert_eq!(found, want, "{section}");
        for row in &rows {
            let says_why = row[1] == "missing" && !row[2].is_empty();
            assert!(says_why || !quoted(&row[1]).is_empty(), "{section}: {row:?}");
        }
    }
}

#[test]
fn every_name_of_ours_is_a_public_item() {
    let (mut count, mut unknown) = (0, vec![]);
    let sections = FUNCTIONS.into_iter().chain([SCHEDULES]).map(|(section, _)| section);
    for row in sections.chain(["What users miss in Axon"]).flat_map(rows) {
        let remarks = quoted(&row[2]).into_iter().filter(|name| name.contains("::"));
        let of_rust = |name: &&str| !name.starts_with("Option::");
        for name in quoted(&row[1]).into_iter().chain(remarks).filter(of_rust) {
            count += 1;
            if !is_public(name) {
                unknown.push(format!("{name}, of the row {}", row[0]));
            }
        }
    }
    assert!(count >= 250, "{count} names");
    assert!(unknown.is_empty(), "names that are no public items: {unknown:#?}");
    for wrong in ["nn::Densse", "loss::mean", "optim::Moments", "Node::densse", "Vars::unfrozen"] {
        assert!(!is_public(wrong), "{wrong}");
    }
    // Items of the modules `prepare` and `csv`, of which the second one is private.
    for wrong in ["data::Standardizer", "data::csv::Table", "data::prepare::Table"] {
        assert!(!is_public(wrong), "{wrong}");
    }
}

#[test]
fn names_of_data_for_those_who_come_from_other_libraries_are_public_items() {
    let page = fs::read_to_string(root().join("docs/coming-from.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let names = rows.flat_map(quoted).filter(|name| name.starts_with("data::"));
    let (known, unknown): (Vec<&str>, Vec<&str>) = names.partition(|name| is_public(name));
    assert!(known.len() >= 3 && unknown.is_empty(), "{known:?} {unknown:?}");
}

#[test]
fn every_fault_has_a_test() {
    for row in rows("Known faults") {
        let [test, file] = quoted(&row[2])[..] else { panic!("expected test and file: {row:?}") };
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(
            text.contains(&format!("#[test]\nfn {test}()"))
                || text.contains(&format!("#[test]\n    fn {test}()")),
            "{file} has no {test}"
        );
    }
}
