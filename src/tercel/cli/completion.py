"""`tercel completion`: what makes a shell complete the words of this command."""

from __future__ import annotations

from typing import Final, Literal

from tercel.cli.show import Json, print_json

Shell = Literal["bash", "zsh", "fish"]
SCRIPTS: Final[dict[Shell, str]] = {
    "bash": """\
_tercel() {
    local IFS=$'\\n'
    COMPREPLY=($(tercel __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o default -F _tercel tercel
""",
    "zsh": """\
#compdef tercel
_tercel() {
    local -a found
    found=(${(f)"$(tercel __complete zsh "${(j: :)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -a found; else _files; fi
}
compdef _tercel tercel
""",
    "fish": """\
complete -c tercel -a '(tercel __complete fish (commandline -cp) 2>/dev/null)'
""",
}
WHERE: Final[dict[Shell, str]] = {
    "bash": 'eval "$(tercel completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(tercel completion zsh)"    # in ~/.zshrc, after compinit',
    "fish": "tercel completion fish | source   # in ~/.config/fish/config.fish",
}


def completion(shell: Shell, *, json: Json = False) -> None:
    """Print what makes a shell complete verbs, options, and the names of instruments, models, accounts and strategies.

    Into ~/.bashrc belongs the line eval "$(tercel completion bash)", into ~/.zshrc the same with zsh, behind compinit, and into
    ~/.config/fish/config.fish the line tercel completion fish | source

    Example: tercel completion bash

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    if json:
        print_json({"shell": shell, "script": SCRIPTS[shell], "install": WHERE[shell]})
    else:
        print(SCRIPTS[shell], end="")
