//! stub
#[derive(Debug, Default)]
pub struct Health;
impl Health {
    pub(crate) fn up(&self, _: &str) {}
    pub(crate) fn down(&self, _: &str, _: &str) {}
    pub(crate) fn starting(&self, _: &str) {}
}
