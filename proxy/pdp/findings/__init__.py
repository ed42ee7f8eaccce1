"""What is wrong with a bundle, place by place, and the forms in which others read it."""
