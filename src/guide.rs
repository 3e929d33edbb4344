//! The guide: how to use Helios, chapter by chapter. Every piece of code in it is compiled and run as a test.

macro_rules! chapters {
    ($($name:ident $file:literal)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*
    };
}

chapters! {
    controllers "guide/controllers.md"
    streams "guide/streams.md"
    pipeline "guide/pipeline.md"
    services "guide/services.md"
    serving "guide/serving.md"
    testing "guide/testing.md"
}
