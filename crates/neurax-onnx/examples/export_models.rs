//! Exports models of many kinds, for `scripts/onnx-export.sh`, which runs them in ONNX Runtime.
//!
//! ```text
//! cargo run -p neurax-onnx --example export_models -- FOLDER
//! ```
//!
//! Each folder in FOLDER has a model, and folders with its inputs and the outputs that are expected
//! for one size of the batch: `lstm-18/model.onnx`, `lstm-18/3/input_0.npy`, ..

use neurax::io::npy;
use neurax::nn::models::{
    BertConfig, Gpt2Config, LlamaConfig, MobileNetV2Config, ResNetConfig, UNetConfig, VitConfig,
    bert, gpt2, llama, mobilenet_v2, resnet, unet, vit,
};
use neurax::onnx::Exporter;
use neurax::prelude::*;
use std::path::{Path, PathBuf};

/// The opsets in which models are written.
const WRITTEN_OPSETS: [i64; 4] = [13, 17, 20, 23];
/// The sizes of the open axes in each run.
const RUN_SIZES: [usize; 3] = [1, 2, 5];

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/onnx/exported".into());
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let mut refused = 0;
    for opset in WRITTEN_OPSETS {
        let writer = ModelWriter { folder: &folder, exporter: Exporter::new().opset(opset), opset };
        refused += writer.networks()? + writer.functions()?;
    }
    println!("{refused} refused");
    Ok(())
}

struct ModelWriter<'f> {
    folder: &'f Path,
    exporter: Exporter,
    opset: i64,
}

impl ModelWriter<'_> {
    /// Writes the networks, and returns the number of those that cannot be exported.
    fn networks(&self) -> Result<usize> {
        let image = || nn::input("image", dims![_, 3, 16, 16]);
        let series = || nn::input("series", dims![_, _, 4]);
        let tokens = || nn::typed_input("tokens", I32, dims![_, _]);
        let mlp = nn::input("x", dims![_, 8]).dense(16).relu().dense(16).gelu().dense(3).softmax();
        let cnn = image()
            .layer(nn::Conv::new(8, 3).padding(Padding::Same))
            .batch_norm()
            .relu()
            .max_pool(2);
        let cnn = cnn.conv(12, 3).relu().avg_pool(2).flatten().dense(5).log_softmax();
        let any_size = nn::input("image", dims![_, 3, _, _]).conv(4, 3).batch_norm().relu();
        let any_size = any_size.max_pool(2).conv(6, 3).relu().global_avg_pool().dense(2);
        let up = image().layer(nn::Conv::new(6, 3).strides(2)).conv_transpose(3, 3).tanh();
        let small = Gpt2Config { vocabulary: 50, context: 16, ..Gpt2Config::small() };
        let small = Gpt2Config { features: 16, layers: 2, heads: 2, ..small };
        let mini = BertConfig { vocabulary: 60, context: 16, features: 16, ..BertConfig::mini() };
        let mini = BertConfig { heads: 2, units: 32, layers: 2, ..mini };
        let words = tokens();
        let first_segment = 0;
        let segments = &words * first_segment;
        let text = bert([&words, &segments, &nn::mask_of(&words, 0)], &mini).1;
        let llm =
            LlamaConfig { vocabulary: 50, features: 16, layers: 2, ..LlamaConfig::llama3_8b() };
        let llm = LlamaConfig { heads: 4, kv_heads: 2, units: 24, ..llm };
        let patches =
            VitConfig { image: 32, patch: 8, features: 16, heads: 2, ..VitConfig::tiny16() };
        let patches = VitConfig { layers: 2, units: 32, classes: 4, ..patches };
        let residual =
            ResNetConfig { blocks: vec![1, 1], width: 8, classes: 4, small_images: true };
        let mobile = MobileNetV2Config { width: 0.25, classes: 4, ..MobileNetV2Config::new() };
        let segmented = UNetConfig { widths: vec![4, 8], classes: 2 };
        let all: Vec<(&str, nn::Node, TypeSpec)> = vec![
            ("mlp", mlp, types![f32[_, 8]][0].clone()),
            ("cnn", cnn, types![f32[_, 3, 16, 16]][0].clone()),
            ("cnn_any_size", any_size, types![f32[2, 3, 12, "width"]][0].clone()),
            ("transposed", up, types![f32[_, 3, 16, 16]][0].clone()),
            ("lstm", series().lstm(6).dense(2), types![f32[_, 7, 4]][0].clone()),
            ("gru", series().gru(6).dense(2), types![f32[_, 7, 4]][0].clone()),
            ("gpt2", gpt2(tokens(), &small), types![i32[_, 9]][0].clone()),
            ("gpt2_length", gpt2(tokens(), &small), types![i32[2, "length"]][0].clone()),
            ("bert", text, types![i32[_, 9]][0].clone()),
            ("llama", llama(tokens(), &llm), types![i32[_, 9]][0].clone()),
            (
                "vit",
                vit(nn::input("image", dims![_, 3, 32, 32]), &patches),
                types![f32[_, 3, 32, 32]][0].clone(),
            ),
            ("resnet", resnet(image(), &residual), types![f32[_, 3, 16, 16]][0].clone()),
            ("mobilenet", mobilenet_v2(image(), &mobile), types![f32[_, 3, 16, 16]][0].clone()),
            ("unet", unet(image(), &segmented), types![f32[_, 3, 16, 16]][0].clone()),
        ];
        let mut refused = 0;
        for (name, node, spec) in all {
            refused += self.network(name, &node.model(), spec)?;
        }
        Ok(refused + self.quantized()?)
    }

    fn network(&self, name: &str, model: &Model, spec: TypeSpec) -> Result<usize> {
        let net = model.bind(model.init(key(3), std::slice::from_ref(&spec))?);
        self.net(name, &self.exporter, &net, spec)
    }

    /// Writes a network with quantized weights, and one of f16.
    fn quantized(&self) -> Result<usize> {
        let model = nn::input("x", dims![_, 64]).dense(64).relu().dense(10).model();
        let [spec] = types![f32[_, 64]];
        let vars = model.init(key(4), std::slice::from_ref(&spec))?;
        let mut refused = 0;
        for (name, scheme) in [
            ("int8", nn::Scheme::Int8),
            ("int4", nn::Scheme::Int4 { group: 32 }),
            ("dynamic_int8", nn::Scheme::DynamicInt8),
        ] {
            let vars = nn::quantize::weights(&vars, "**.kernel", scheme)?.vars;
            refused += self.net(name, &self.exporter, &model.bind(vars), spec.clone())?;
        }
        let narrow = self.exporter.clone().float(F16);
        Ok(refused + self.net("f16", &narrow, &model.bind(vars), spec)?)
    }

    fn net(&self, name: &str, exporter: &Exporter, net: &Net, spec: TypeSpec) -> Result<usize> {
        let folder = self.folder(name)?;
        if let Err(e) = exporter.export(net, [spec.clone()], folder.join("model.onnx")) {
            return self.refused(name, &e);
        }
        for size in RUN_SIZES {
            let x = example(&spec, size, key(size as i64))?;
            let outputs = net.apply(x.clone());
            let y: Vec<Tensor> = net.model.outputs().map(|name| outputs[name].clone()).collect();
            save(&folder.join(size.to_string()), &[x], &y)?;
        }
        Ok(0)
    }

    /// Writes functions with control flow, indices, and random numbers.
    fn functions(&self) -> Result<usize> {
        let double = |x: Tensor| while_loop(x, |x| x.sum(..).lt(100.0), |x| x * 2.0 + 1.0);
        let total = |x: Tensor| scan(Tensor::zeros(4), x, |sum, row| (&sum + &row, sum * row));
        let choice = |x: Tensor| cond(&x.sum(..).gt(0.0), || x.sin(), || x.exp() - 1.0);
        let sorted = |x: Tensor| (x.sort(-1), x.argsort(-1), x.cumsum(0), x.cummax(1));
        let picked = |(x, i): (Tensor, Tensor)| (x.take(&i, 0), x.at(&i).add(1.0));
        let noise = |x: Tensor| {
            &x + key(5).uniform([3, 4]) * 0.0 + key(9).bits_of(U32, [3, 4]).to(F32) * 0.0
        };
        let means = |x: Tensor| (x.mean(0), x.var(.., 0), x.logsumexp(1), x.reshape(dims![_]));
        Ok(self.function("while", double, types![f32[_, 4]])?
            + self.function("scan", total, types![f32[_, 4]])?
            + self.function("cond", choice, types![f32[_, 4]])?
            + self.function("sorted", sorted, types![f32[_, 4]])?
            + self.pair("picked", picked, types![f32[_, 4], i32["picks"]])?
            + self.function("noise", noise, types![f32[3, 4]])?
            + self.function("means", means, types![f32[_, 4]])?)
    }

    fn function<O: Tree>(
        &self,
        name: &str,
        f: impl Fn(Tensor) -> O + Send + Sync,
        types: [TypeSpec; 1],
    ) -> Result<usize> {
        let folder = self.folder(name)?;
        let [spec] = &types;
        if let Err(e) = self.exporter.export_fn(&f, types.clone(), folder.join("model.onnx")) {
            return self.refused(name, &e);
        }
        for size in RUN_SIZES {
            let x = example(spec, size, key(size as i64))?;
            let y: Vec<Tensor> =
                f(x.clone()).leaves().into_iter().map(|(_, y)| y.clone()).collect();
            save(&folder.join(size.to_string()), &[x], &y)?;
        }
        Ok(0)
    }

    fn pair<O: Tree>(
        &self,
        name: &str,
        f: impl Fn((Tensor, Tensor)) -> O + Send + Sync,
        types: [TypeSpec; 2],
    ) -> Result<usize> {
        let folder = self.folder(name)?;
        if let Err(e) = self.exporter.export_fn(&f, types.clone(), folder.join("model.onnx")) {
            return self.refused(name, &e);
        }
        for size in RUN_SIZES {
            let x = example(&types[0], size, key(size as i64))?;
            let i = Tensor::from_slice(&[0, 0, 0][..size.min(3)], size.min(3)).to(I32);
            let y = f((x.clone(), i.clone()));
            let y: Vec<Tensor> = y.leaves().into_iter().map(|(_, y)| y.clone()).collect();
            save(&folder.join(size.to_string()), &[x, i], &y)?;
        }
        Ok(0)
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(format!("{name}-{}", self.opset));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn refused(&self, name: &str, e: &Error) -> Result<usize> {
        println!("refused {name}-{}: {e}", self.opset);
        Ok(1)
    }
}

/// Returns a random input with the given size for open axes.
fn example(spec: &TypeSpec, size: usize, key: Key) -> Result<Tensor> {
    let size = |d: &Dim| match d {
        Dim::Size(n) => *n,
        // Images are larger than their windows.
        Dim::Named(name) if name == "width" => size + 11,
        _ => size,
    };
    let sizes: Vec<usize> = spec.dims.iter().map(size).collect();
    match spec.dtype.is_float() {
        true => key.normal(sizes).to(spec.dtype).ok(),
        false => (key.uniform(sizes) * 40.0).to(spec.dtype).ok(),
    }
}

/// Writes the inputs and outputs of a run.
fn save(folder: &Path, inputs: &[Tensor], outputs: &[Tensor]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for (i, x) in inputs.iter().enumerate() {
        npy::save(x, folder.join(format!("input_{i}.npy")))?;
    }
    for (i, y) in outputs.iter().enumerate() {
        npy::save(y, folder.join(format!("output_{i}.npy")))?;
    }
    Ok(())
}
