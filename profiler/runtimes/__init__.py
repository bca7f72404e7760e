"""What each runtime takes and can do."""
