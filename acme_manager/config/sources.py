"""Where a configuration comes from: two files, and the variables of the process, which win over one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from acme_manager.config import dotenv
from acme_manager.config.flags import Flags
from acme_manager.config.load import load
from acme_manager.config.model import Config
from acme_manager.errors import Complaint, ConfigInvalid


@attrs.frozen(kw_only=True)
class Sources:
    """To be read again and again while a node runs."""

    config_path: Path
    env_path: Path | None
    process: Mapping[str, str] = attrs.field(repr=False)
    allow_unverified_plugins: bool = False

    @classmethod
    def of(cls, flags: Flags, process: Mapping[str, str]) -> Sources:
        """Those that the flags name."""
        return cls(
            config_path=Path(flags.config_path),
            env_path=Path(flags.env_config_path),
            process=process,
            allow_unverified_plugins=flags.allow_unverified_plugins,
        )

    def read(self) -> Config:
        """What they say now. Raises ConfigInvalid, also for a file with variables that can't be read."""
        variables = dotenv.overlay(self.process, self._file())
        return load(self.config_path, variables, allow_unverified_plugins=self.allow_unverified_plugins)

    def _file(self) -> Mapping[str, str]:
        if self.env_path is None:
            return {}
        try:
            return dotenv.read(self.env_path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            reason = f"can't be read: {error.strerror}"
        except dotenv.DotenvInvalid as error:
            reason = str(error)
        raise ConfigInvalid(str(self.env_path), [Complaint(str(self.env_path), reason)])
