"""Uploader: takes payloads in streaming and stores them as the primary."""
