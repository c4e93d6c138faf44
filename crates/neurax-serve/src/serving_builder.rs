//! The functions around the model of a [`Serving`], and its options.

use crate::serving::{Prepared, Serving};
use crate::serving_options::ServingOptions;
use neurax_tensor::{Result, Tensor};
use std::sync::Arc;
use std::time::Duration;

impl<I: 'static, O: 'static> Serving<I, O> {
    /// Adds a function in front, which runs in the thread of the caller. Its error or panic is that
    /// of its caller alone.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let length = Serving::of(|batch| Ok(vec![batch.x()]))
    ///     .preprocess(|text: &str| Ok(tensor([text.len() as f32])));
    /// assert_eq!(length.run("four")?.item()?, 4.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn preprocess<J: 'static>(
        self,
        f: impl Fn(J) -> Result<I> + Send + Sync + 'static,
    ) -> Serving<J, O> {
        let Serving { core, prepare } = self;
        Serving { core, prepare: Arc::new(move |x: J| prepare(f(x)?)) }
    }

    /// Adds a function behind, which runs in the thread of the caller. Its error or panic is that
    /// of its caller alone.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let same = Serving::of(|batch| Ok(vec![batch.x()]));
    /// let is_large = same.postprocess(|y| Ok(y.item()? > 10.0));
    /// assert!(is_large.run(tensor([12.0]))?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn postprocess<P: 'static>(
        self,
        f: impl Fn(O) -> Result<P> + Send + Sync + 'static,
    ) -> Serving<I, P> {
        let (Serving { core, prepare }, f) = (self, Arc::new(f));
        let prepare = move |x: I| {
            let (Prepared { inputs, mut finish }, f) = (prepare(x)?, f.clone());
            Ok(Prepared { inputs, finish: Box::new(move |outputs| f(finish(outputs)?)) })
        };
        Serving { core, prepare: Arc::new(prepare) }
    }

    /// Adds a function in front that returns the one behind as well, for postprocessing that needs
    /// to know the request.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x() + 1.0])).around(|xs: Vec<f32>| {
    ///     let n = xs.len();
    ///     let padded = Tensor::from_vec(xs, [1, n]).pad([(0, 0), (0, 8 - n)], 0.0);
    ///     Ok((padded, move |y: Tensor| Ok(y.to_vec::<f32>()?[..n].to_vec())))
    /// });
    /// assert_eq!(serving.run(vec![1.0, 2.0])?, [2.0, 3.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn around<J: 'static, P: 'static, F>(
        self,
        f: impl Fn(J) -> Result<(I, F)> + Send + Sync + 'static,
    ) -> Serving<J, P>
    where
        F: FnMut(O) -> Result<P> + Send + 'static,
    {
        let Serving { core, prepare } = self;
        let prepare = move |x: J| {
            let (x, mut after) = f(x)?;
            let Prepared { inputs, mut finish } = prepare(x)?;
            Ok(Prepared { inputs, finish: Box::new(move |outputs| after(finish(outputs)?)) })
        };
        Serving { core, prepare: Arc::new(prepare) }
    }

    /// Keeps requests apart whose preprocessed inputs have different keys, such as the lengths to
    /// which texts are padded. Requests of different dtypes or shapes are never in one batch.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x() * batch.key() as f32]))
    ///     .batch_key(|xs| if xs[0].dim(1) > 2 { 4 } else { 2 });
    /// assert_eq!(serving.run(tensor([[1.0, 1.0, 1.0]]))?.to_vec::<f32>()?, [4.0; 3]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn batch_key(self, f: impl Fn(&[Tensor]) -> u64 + Send + Sync + 'static) -> Serving<I, O> {
        Serving { core: self.core.with_key(Arc::new(f)), prepare: self.prepare }
    }

    /// Sets the most rows of a batch, 64 by default. A predictor that was compiled for one number
    /// of rows has batches of this size.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x()])).max_batch(4).start()?;
    /// let answers: Vec<_> = (0..20).map(|i| server.predict(tensor([i]))).collect();
    /// server.drain();
    /// assert!(server.stats().batches.keys().all(|rows| *rows <= 4));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn max_batch(self, rows: usize) -> Serving<I, O> {
        self.with_options(&mut |o| o.max_batch = rows)
    }

    /// Sets the sizes of batches, by default the powers of two up to `max_batch`: a batch is filled
    /// up with rows of zeros to the next size, so that few programs are compiled. The largest size
    /// replaces `max_batch`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x() * batch.size() as f32]));
    /// let y = serving.batch_sizes([8, 32]).run(Tensor::ones([3]))?;
    /// assert_eq!(y.to_vec::<f32>()?, [8.0; 3], "three rows run as eight");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn batch_sizes(self, sizes: impl IntoIterator<Item = usize>) -> Serving<I, O> {
        let sizes: Vec<usize> = sizes.into_iter().collect();
        self.with_options(&mut |o| o.sizes = sizes.clone())
    }

    /// Sets the time that a request waits for others to fill a batch, zero by default: an idle
    /// worker then starts immediately, and requests that arrive while it runs are its next batch.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use std::time::Duration;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x()])).max_batch(2);
    /// let server = serving.max_delay(Duration::from_secs(3600)).start()?;
    /// let (a, b) = (server.predict(tensor([1.0])), server.predict(tensor([2.0])));
    /// assert_eq!((a.wait()?.item()?, b.wait()?.item()?), (1.0, 2.0));    // full after two
    /// # Ok::<(), Error>(())
    /// ```
    pub fn max_delay(self, delay: Duration) -> Serving<I, O> {
        self.with_options(&mut |o| o.max_delay = delay)
    }

    /// Sets the number of requests that may wait, 1024 by default. Beyond it, requests are refused.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let serving = Serving::of(|batch| Ok(vec![batch.x()])).queue_limit(0);
    /// let e = serving.start().unwrap_err();
    /// assert_eq!(e.message(), "expected queue_limit of at least 1, got 0");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn queue_limit(self, requests: usize) -> Serving<I, O> {
        self.with_options(&mut |o| o.queue_limit = requests)
    }

    /// Sets the number of results of [`Server::stream`] that may wait for the caller, 1024 by
    /// default. Beyond it, the request ends: the caller gets the results that wait, then an error.
    ///
    /// [`Server::stream`]: crate::Server::stream
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::serve::Refusal;
    /// let serving = Serving::of_stream(|batch, emit| loop {
    ///     emit(vec![batch.x()])?; // an error when the caller is too slow
    /// });
    /// let server = serving.result_limit(2).start()?;
    /// let answers = server.stream(tensor([1.0]));
    /// server.drain();
    /// let results: Vec<Result<Tensor>> = answers.collect();
    /// assert!(results[0].is_ok() && results[1].is_ok());
    /// let e = results[2].as_ref().unwrap_err();
    /// assert_eq!(Refusal::of(e), Some(Refusal::TooSlow));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn result_limit(self, results: usize) -> Serving<I, O> {
        self.with_options(&mut |o| o.result_limit = results)
    }

    /// Sets the time after which a caller gets an error instead of a result; none by default.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use neurax::serve::Refusal;
    /// use std::{thread::sleep, time::Duration};
    /// let slow = Serving::of(|batch| {
    ///     sleep(Duration::from_millis(200));
    ///     Ok(vec![batch.x()])
    /// });
    /// let server = slow.timeout(Duration::from_millis(5)).start()?;
    /// let e = server.run(tensor([1.0])).unwrap_err();
    /// assert_eq!(Refusal::of(&e), Some(Refusal::TimedOut));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// A timeout of 0 is an error of `start`.
    pub fn timeout(self, timeout: Duration) -> Serving<I, O> {
        self.with_options(&mut |o| o.timeout = Some(timeout))
    }

    /// Sets the number of threads that run batches, one by default; with
    /// [`partitions`](Serving::partitions), of each partition. They share the model; more than one
    /// keep the CPU busy while results are distributed, or if the model does not use all CPUs.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let server = Serving::of(|batch| Ok(vec![batch.x()])).workers(2).start()?;
    /// assert_eq!(server.run(tensor([1.0]))?.item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn workers(self, threads: usize) -> Serving<I, O> {
        self.with_options(&mut |o| o.workers = threads)
    }

    /// Divides the threads of the device into `count` partitions, one by default. Each runs batches
    /// of the same queue on its own threads, so that several batches run simultaneously: more rows
    /// per second where a model does not use all threads well, at the price of a longer time for
    /// each batch. The results have the same bits. A function of batches learns its partition by
    /// [`RowBatch::partition`], to choose a device for example.
    ///
    /// [`RowBatch::partition`]: crate::RowBatch::partition
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2);
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let serving = Serving::new(net.predictor(types![f32[_, 3]])?);
    /// let server = serving.partitions(2).max_batch(8).start()?;
    /// let answers: Vec<_> = (0..100).map(|_| server.predict(Tensor::ones([1, 3]))).collect();
    /// for answer in answers {
    ///     assert_eq!(answer.wait()?.shape(), [1, 2]);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn partitions(self, count: usize) -> Serving<I, O> {
        self.with_options(&mut |o| o.partitions = count)
    }

    fn with_options(self, set: &mut dyn FnMut(&mut ServingOptions)) -> Serving<I, O> {
        Serving { core: self.core.with_options(set), prepare: self.prepare }
    }
}
