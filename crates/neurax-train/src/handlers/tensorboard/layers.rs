//! Models as graphs of TensorBoard.

use super::messages::{AttributeContent, GraphMessage, LayerAttribute, LayerMessage};
use crate::LayerRecord;
use neurax_nn::Model;
use std::collections::BTreeMap;

/// Returns the layers with their inputs, output types and sizes.
pub(super) fn graph(model: &Model) -> GraphMessage {
    let node = |layer: LayerRecord| LayerMessage {
        name: name(&layer.path),
        inputs: layer.inputs.iter().map(|path| name(path)).collect(),
        attributes: attributes(&layer),
        op: layer.kind,
    };
    GraphMessage { nodes: LayerRecord::of(model).into_iter().map(node).collect() }
}

/// Returns a path as TensorBoard nests it.
fn name(path: &str) -> String {
    path.replace('.', "/")
}

fn attributes(layer: &LayerRecord) -> BTreeMap<String, LayerAttribute> {
    let text = |x: &str| AttributeContent::Text(x.as_bytes().to_vec());
    let count = |n: usize| AttributeContent::Count(n as i64);
    let work = layer.multiply_adds.map(|n| ("multiply_adds", AttributeContent::Count(n as i64)));
    let all = [
        ("output", text(&layer.output)),
        ("parameters", count(layer.parameters)),
        ("bytes", count(layer.bytes)),
    ];
    let attribute = |(name, content): (&str, _)| {
        (String::from(name), LayerAttribute { content: Some(content) })
    };
    all.into_iter().chain(work).map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_nn::input;
    use neurax_tensor::dims;

    #[test]
    fn layers_of_a_block_are_nested() {
        let tower = neurax_nn::block("tower", |x| x.dense(4).relu());
        let model = tower.call(input("x", dims![_, 3])).dense(1).model();
        let graph = graph(&model);
        let lines: Vec<String> = graph
            .nodes
            .iter()
            .map(|n| format!("{} = {}({})", n.name, n.op, n.inputs.join(", ")))
            .collect();
        assert_eq!(
            lines,
            [
                "x = input()",
                "tower/dense = dense(x)",
                "tower/relu = relu(tower/dense)",
                "dense = dense(tower/relu)",
            ]
        );
        let attribute = |name: &str| graph.nodes[1].attributes[name].content.clone().unwrap();
        assert_eq!(attribute("output"), AttributeContent::Text(b"f32[_, 4]".to_vec()));
        assert_eq!(attribute("parameters"), AttributeContent::Count(16));
    }
}
