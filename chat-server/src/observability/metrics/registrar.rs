//! Makes metrics of the catalogue: every series is there from the start, and none is looked up later.

use std::marker::PhantomData;

use prometheus::core::{Collector, Describer};
use prometheus::{Gauge, IntCounter, IntGauge, Opts, Registry};

use super::catalogue::{Kind, Metric};
use super::histogram::Histogram;
use super::label_values::Word;

/// One of something for each word of a set.
#[derive(Debug, Clone)]
pub struct Each<W, M> {
    all: Vec<M>,
    words: PhantomData<fn(W)>,
}

impl<W: Word, M> Each<W, M> {
    fn make(mut make: impl FnMut(W) -> Result<M, prometheus::Error>) -> Result<Self, prometheus::Error> {
        let all = W::all().into_iter().map(&mut make).collect::<Result<_, _>>()?;
        Ok(Self { all, words: PhantomData })
    }

    /// That of this word.
    #[must_use]
    pub fn of(&self, word: W) -> &M {
        &self.all[word.place()]
    }

    /// Each with its word.
    pub fn iter(&self) -> impl Iterator<Item = (W, &M)> {
        W::all().into_iter().zip(&self.all)
    }
}

/// The values of a metric's labels, in their order.
type Values<'a> = &'a [&'static str];

pub(super) struct Registrar<'a>(pub(super) &'a Registry);

impl Registrar<'_> {
    pub(super) fn counter(&self, metric: Metric) -> Result<IntCounter, prometheus::Error> {
        self.counter_of(metric, &[])
    }

    pub(super) fn counters<W: Word>(&self, metric: Metric) -> Result<Each<W, IntCounter>, prometheus::Error> {
        Each::make(|word: W| self.counter_of(metric, &[word.as_str()]))
    }

    /// Those of a metric with two labels.
    pub(super) fn counters_by<V: Word, W: Word>(
        &self,
        metric: Metric,
    ) -> Result<Each<V, Each<W, IntCounter>>, prometheus::Error> {
        Each::make(|first: V| Each::make(|second: W| self.counter_of(metric, &[first.as_str(), second.as_str()])))
    }

    pub(super) fn gauge(&self, metric: Metric) -> Result<IntGauge, prometheus::Error> {
        self.known(IntGauge::with_opts(options(metric, &[])), metric)
    }

    pub(super) fn gauges<W: Word>(&self, metric: Metric) -> Result<Each<W, IntGauge>, prometheus::Error> {
        Each::make(|word: W| self.known(IntGauge::with_opts(options(metric, &[word.as_str()])), metric))
    }

    /// One of which fractions matter.
    pub(super) fn fine_gauge(&self, metric: Metric) -> Result<Gauge, prometheus::Error> {
        self.known(Gauge::with_opts(options(metric, &[])), metric)
    }

    /// A counter of fractions.
    pub(super) fn fine_counter(&self, metric: Metric) -> Result<prometheus::Counter, prometheus::Error> {
        self.known(prometheus::Counter::with_opts(options(metric, &[])), metric)
    }

    pub(super) fn histogram(&self, metric: Metric) -> Result<Histogram, prometheus::Error> {
        self.histogram_of(metric, &[])
    }

    pub(super) fn histograms<W: Word>(&self, metric: Metric) -> Result<Each<W, Histogram>, prometheus::Error> {
        Each::make(|word: W| self.histogram_of(metric, &[word.as_str()]))
    }

    fn counter_of(&self, metric: Metric, values: Values<'_>) -> Result<IntCounter, prometheus::Error> {
        self.known(IntCounter::with_opts(options(metric, values)), metric)
    }

    fn histogram_of(&self, metric: Metric, values: Values<'_>) -> Result<Histogram, prometheus::Error> {
        let Kind::Histogram(bounds) = metric.kind else {
            return Err(prometheus::Error::Msg(format!("{} is no histogram", metric.name)));
        };
        self.known(Ok(Histogram::new(options(metric, values).describe()?, bounds)), metric)
    }

    fn known<M: Collector + Clone + 'static>(
        &self,
        made: Result<M, prometheus::Error>,
        metric: Metric,
    ) -> Result<M, prometheus::Error> {
        let made = made?;
        let labels = made.desc().iter().map(|desc| desc.const_label_pairs.len()).sum::<usize>();
        if labels != metric.labels.len() {
            return Err(prometheus::Error::InconsistentCardinality { expect: metric.labels.len(), got: labels });
        }
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

fn options(metric: Metric, values: Values<'_>) -> Opts {
    metric
        .labels
        .iter()
        .zip(values)
        .fold(Opts::new(metric.name, metric.help), |options, (label, value)| options.const_label(label.name, *value))
}
