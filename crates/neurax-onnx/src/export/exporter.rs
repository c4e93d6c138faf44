//! The steps of an export, from the function to the file.

use super::cleanup;
use super::model_file::OnnxModelFile;
use super::open_shapes::{SAMPLE_SIZES, SampleSizes};
use super::options::Exporter;
use super::trace::TracedModel;
use crate::own_lines::without_own_line;
use neurax_ir::{Error, OrBug, Result};
use neurax_nn::Net;
use neurax_tensor::{Example, Function, Tree, TypeSpec, jit};
use std::path::Path;

/// Traces a function, with the given numbers for open sizes. The error inside is that of traces of
/// which no model can be made; other numbers do not help there.
type TraceSized<'a> = &'a dyn Fn(SampleSizes) -> Result<Result<TracedModel>>;

impl Exporter {
    /// Writes a network in evaluation mode for inputs of the given types, in the order of the
    /// model. Parameters are initializers with their paths as names. The outputs of a state, such
    /// as that of a recurrent layer, are not written.
    ///
    /// `_` on the first axis is the size of the batch, the same one for all inputs; on other axes
    /// it is any size, and axes of equal names have equal sizes.
    ///
    /// # Errors
    /// If the types do not fit, an operation has no ONNX form (the message lists all of them with
    /// their lines), a number depends on an open size in a way that ONNX cannot compute, or the
    /// file cannot be written.
    #[track_caller]
    pub fn export(
        &self,
        net: &Net,
        types: impl AsRef<[TypeSpec]>,
        path: impl AsRef<Path>,
    ) -> Result<()> {
        self.write(&|sizes| self.traced_net(net, types.as_ref(), sizes), path.as_ref())
    }

    /// Returns the file of a network as bytes.
    ///
    /// # Errors
    /// As for [`Exporter::export`], and if the model has more than 1 GB.
    #[track_caller]
    pub fn to_bytes(&self, net: &Net, types: impl AsRef<[TypeSpec]>) -> Result<Vec<u8>> {
        self.bytes_of(&|sizes| self.traced_net(net, types.as_ref(), sizes))
    }

    /// Writes a function as [`Exporter::export`] writes a network: its inputs and outputs are the
    /// tensors of the argument and of the result. Tensors that it captures are initializers.
    ///
    /// # Errors
    /// As for [`Exporter::export`].
    #[track_caller]
    pub fn export_fn<A: Tree, O: Tree, const N: usize>(
        &self,
        f: impl Function<A, Out = O>,
        types: [TypeSpec; N],
        path: impl AsRef<Path>,
    ) -> Result<()>
    where
        [TypeSpec; N]: Example<A>,
    {
        let f = jit(f);
        self.write(&|sizes| self.traced_fn(&f, &types, sizes), path.as_ref())
    }

    /// Returns the file of a function as bytes.
    ///
    /// # Errors
    /// As for [`Exporter::to_bytes`].
    #[track_caller]
    pub fn to_bytes_fn<A: Tree, O: Tree, const N: usize>(
        &self,
        f: impl Function<A, Out = O>,
        types: [TypeSpec; N],
    ) -> Result<Vec<u8>>
    where
        [TypeSpec; N]: Example<A>,
    {
        let f = jit(f);
        self.bytes_of(&|sizes| self.traced_fn(&f, &types, sizes))
    }

    fn write(&self, trace: TraceSized, path: &Path) -> Result<()> {
        let name = path.file_name().and_then(|n| n.to_str());
        let name = name.ok_or_else(|| {
            Error::new(
                "onnx export",
                format!("expected the path of a file, got {}", path.display()),
            )
        })?;
        let data = format!("{name}.data");
        self.file(trace, Some(&data)).map_err(without_own_line)?.write(path, &data)
    }

    fn bytes_of(&self, trace: TraceSized) -> Result<Vec<u8>> {
        self.file(trace, None).map_err(without_own_line)?.bytes()
    }

    /// Returns the file of a function. If it cannot be traced or merged, smaller numbers and then
    /// larger ones stand for the open sizes. Large ones take memory for the tensors that the
    /// function computes from its sizes while it is traced, and are tried only where they may help.
    ///
    /// # Errors
    /// The first one of a function that can be traced, or else the first one.
    fn file(&self, trace: TraceSized, data: Option<&str>) -> Result<OnnxModelFile> {
        if !Exporter::OPSETS.contains(&self.opset) {
            let (first, last) = (Exporter::OPSETS.start(), Exporter::OPSETS.end());
            let why = format!("expected an opset from {first} to {last}, got {}", self.opset);
            return Err(Error::new("onnx export", why));
        }
        let (mut of_trace, mut of_model) = (None, None);
        for sizes in SAMPLE_SIZES {
            let traced = match trace(sizes) {
                Ok(Ok(traced)) => traced,
                Ok(Err(e)) => {
                    of_model.get_or_insert(e);
                    break;
                }
                Err(e) => {
                    of_trace.get_or_insert(e);
                    continue;
                }
            };
            match self.file_of(&traced, data) {
                Ok(file) => return Ok(file),
                Err(e) => _ = of_model.get_or_insert(e),
            }
            // Larger numbers only would hide that the function differs in small and large sizes.
            if traced.fits_small_sizes(self) {
                break;
            }
        }
        Err(of_model.or(of_trace).or_bug("a function that was not traced")?)
    }

    fn file_of(&self, traced: &TracedModel, data: Option<&str>) -> Result<OnnxModelFile> {
        let (mut draft, open) = traced.draft(self)?;
        cleanup::clean(&mut draft);
        OnnxModelFile::new(self, &draft, &traced.weights()?, &open, data)
    }
}
